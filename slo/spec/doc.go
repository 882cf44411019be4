// Package spec reads files of slowburn/v1: it makes SLOs of them with their defaults and
// exclusions, and findings with file, line, column and a hint.
package spec
