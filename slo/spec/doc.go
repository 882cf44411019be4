// Package spec reads files of slowburn/v1: it makes SLOs of them with their defaults and
// exclusions, and findings with file, line, column and a hint.
//
// A use, from the text of one file to the SLOs in it:
//
//	set := spec.Load([]spec.File{{Name: "checkout.yaml", Text: text}})
//	for _, f := range set.Findings { fmt.Print(f.Text()) }
//	for _, s := range set.SLOs { fmt.Println(s.ID(), s.Objective.Percent()) }
package spec
