package summary

import (
	"slices"

	"github.com/slowburn-slo/slowburn/evaluator"
)

// Block is an SLO and its groups, the worst first, or a group without its SLO.
type Block struct {
	SLO    *evaluator.Status
	Groups []*evaluator.Status
}

// Blocks puts groups below their SLOs and sorts both.
func (o Order) Blocks(slos []*evaluator.Status) []Block {
	o = o.Once()
	var out []Block
	at := map[string]int{}
	for _, st := range slos {
		if len(st.Group) == 0 {
			at[st.ID] = len(out)
			out = append(out, Block{SLO: st})
		}
	}
	for _, st := range slos {
		if len(st.Group) == 0 {
			continue
		}
		if i, ok := at[st.WholeID()]; ok {
			out[i].Groups = append(out[i].Groups, st)
		} else {
			out = append(out, Block{SLO: st})
		}
	}
	for i := range out {
		slices.SortFunc(out[i].Groups, o.Compare)
	}
	slices.SortFunc(out, func(a, b Block) int { return o.Compare(o.worst(a), o.worst(b)) })
	return out
}

// worst returns the status that decides the place of a block: an SLO does not hide that a
// group of it is worse.
func (o Order) worst(b Block) *evaluator.Status {
	if len(b.Groups) > 0 && o.Compare(b.Groups[0], b.SLO) < 0 {
		return b.Groups[0]
	}
	return b.SLO
}
