// Command peers prints the rules that Pyrra makes for the requests of jobs, as a
// Prometheus rule file. Pyrra's own program does not build from its module.
//
//	peers OBJECTIVE WINDOW JOB...
package main

import (
	"fmt"
	"io"
	"os"
	"strconv"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/pyrra-dev/pyrra/slo"
	"sigs.k8s.io/yaml"
)

func main() {
	if err := run(os.Stdout, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(out io.Writer, args []string) error {
	if len(args) < 3 {
		return fmt.Errorf("usage: peers OBJECTIVE WINDOW JOB...")
	}
	percent, err := strconv.ParseFloat(args[0], 64)
	if err != nil {
		return fmt.Errorf("reading the objective: %w", err)
	}
	window, err := model.ParseDuration(args[1])
	if err != nil {
		return fmt.Errorf("reading the window: %w", err)
	}
	var spec monitoringv1.PrometheusRuleSpec
	for _, job := range args[2:] {
		groups, err := groupsOf(job, percent/100, window)
		if err != nil {
			return fmt.Errorf("making the rules of %s: %w", job, err)
		}
		spec.Groups = append(spec.Groups, groups...)
	}
	text, err := yaml.Marshal(spec)
	if err != nil {
		return fmt.Errorf("writing the rules: %w", err)
	}
	_, err = out.Write(text)
	return err
}

// groupsOf are the rule groups of the SLO of a job.
func groupsOf(job string, target float64, window model.Duration) ([]monitoringv1.RuleGroup, error) {
	const metric = "requests_total"
	name := labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, metric)
	ofJob := labels.MustNewMatcher(labels.MatchEqual, "job", job)
	failed := labels.MustNewMatcher(labels.MatchRegexp, "code", "5..")
	o := slo.Objective{
		Labels: labels.FromStrings(model.MetricNameLabel, job),
		Target: target, Window: window,
		Alerting: slo.Alerting{Burnrates: true, Absent: true},
		Indicator: slo.Indicator{Ratio: &slo.RatioIndicator{
			Errors: slo.Metric{Name: metric, LabelMatchers: []*labels.Matcher{ofJob, failed, name}},
			Total:  slo.Metric{Name: metric, LabelMatchers: []*labels.Matcher{ofJob, name}},
		}},
	}
	opts := slo.GenerationOptions{EnablePrometheus3Migration: true}
	increase, err := o.IncreaseRules(opts)
	if err != nil {
		return nil, err
	}
	burn, err := o.Burnrates(opts)
	if err != nil {
		return nil, err
	}
	return []monitoringv1.RuleGroup{increase, burn}, nil
}
