// Package inspect asks a backend whether SLOs make sense there, for `slowburn check`:
// whether there are series, for how long and how often, and whether their numbers can
// be trusted.
package inspect
