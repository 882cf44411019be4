package alerting

import _ "embed"

//go:embed alertmanager.yml
var alertmanagerConfig string

// AlertmanagerConfig is an Alertmanager's configuration for the alerts of slowburn:
// the inhibition rules that make one notification of one problem, and an example
// of a route and its receivers.
func AlertmanagerConfig() string { return alertmanagerConfig }
