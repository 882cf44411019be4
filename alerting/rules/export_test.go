package rules

// The tests that use package ruletest, which imports this one, share these with the others.
var (
	FilesOf      = files
	Read         = read
	ProveRules   = proveRules
	Promtool     = promtool
	CheckVMAlert = checkVMAlert
)
