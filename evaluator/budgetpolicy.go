package evaluator

import (
	"github.com/slowburn-slo/slowburn/slo"
)

// policySteps are the steps of an SLO's policy while its budget is unknown.
func policySteps(s *slo.SLO) []PolicyStep {
	out := make([]PolicyStep, 0, len(s.BudgetPolicy))
	for _, step := range s.BudgetPolicy {
		out = append(out, PolicyStep{RemainingBelow: step.Below, Action: step.Action, Gate: string(step.Gate)})
	}
	return out
}

// unknownGate is the gate of an SLO whose budget is unknown.
func unknownGate(s *slo.SLO) string {
	if len(s.BudgetPolicy) == 0 {
		return string(slo.GateOpen)
	}
	return GateUnknown
}

// gates are the gates, the mildest first.
func gates() []slo.Gate { return []slo.Gate{slo.GateOpen, slo.GateWarn, slo.GateBlock} }

// SetGate finds the steps of the policy that are active, and what the strictest
// asks for. A gate is open only when the numbers are those of now.
func (s *Status) SetGate() {
	s.Policy, s.Gate = policySteps(s.Spec), unknownGate(s.Spec)
	left := s.Budget.Remaining
	if left == nil || len(s.Policy) == 0 {
		return
	}
	strictest := 0
	for i := range s.Policy {
		step := &s.Policy[i]
		if step.Active = *left < step.RemainingBelow; !step.Active {
			continue
		}
		for rank, g := range gates() {
			if string(g) == step.Gate {
				strictest = max(strictest, rank)
			}
		}
	}
	if strictest > 0 || s.State == StateOK || s.State == StateNoTraffic {
		s.Gate = string(gates()[strictest])
	}
}

// gateNumber is the gate as a metric gives it: 0 open, 1 warn, 2 block; nil when
// it is unknown, or there is no policy.
func gateNumber(s *Status) *float64 {
	if len(s.Policy) == 0 {
		return nil
	}
	for rank, g := range gates() {
		if s.Gate == string(g) {
			n := float64(rank)
			return &n
		}
	}
	return nil
}
