package evaluator

import (
	"slices"

	"github.com/slowburn-slo/slowburn/slo"
)

// policySteps returns the steps of an SLO's policy while its budget is unknown.
func policySteps(s *slo.SLO) []PolicyStep {
	out := make([]PolicyStep, 0, len(s.BudgetPolicy))
	for _, step := range s.BudgetPolicy {
		out = append(out, PolicyStep{RemainingBelow: step.Below, Action: step.Action, Gate: string(step.Gate)})
	}
	return out
}

// unknownGate returns the gate of an SLO whose budget is unknown.
func unknownGate(s *slo.SLO) string {
	if len(s.BudgetPolicy) == 0 {
		return string(slo.GateOpen)
	}
	return GateUnknown
}

// gates returns the gates, the mildest first.
func gates() []slo.Gate { return []slo.Gate{slo.GateOpen, slo.GateWarn, slo.GateBlock} }

// SetGate fills in the active steps of the policy, and the gate of the strictest one. The
// gate is open only if the numbers are current.
func (s *Status) SetGate() {
	s.Policy, s.Gate = policySteps(s.Spec), unknownGate(s.Spec)
	left := s.Budget.Remaining
	if left == nil || len(s.Policy) == 0 {
		return
	}
	strictest := 0
	for i := range s.Policy {
		step := &s.Policy[i]
		step.Active = *left < step.RemainingBelow
		if step.Active {
			strictest = max(strictest, slices.Index(gates(), slo.Gate(step.Gate)))
		}
	}
	if strictest > 0 || s.State == StateOK || s.State == StateNoTraffic {
		s.Gate = string(gates()[strictest])
	}
}

// gateNumber returns the value of the gate's metric: 0 open, 1 warn, 2 block. It returns
// nil if the gate is unknown, or there is no policy.
func gateNumber(s *Status) *float64 {
	rank := slices.Index(gates(), slo.Gate(s.Gate))
	if len(s.Policy) == 0 || rank < 0 {
		return nil
	}
	return new(float64(rank))
}
