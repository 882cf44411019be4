// Package inspect checks SLOs against a backend, for `slowburn check`: whether there are
// series, since when and how often, and whether their numbers can be trusted.
package inspect
