package spec

import _ "embed"

//go:embed schema.json
var schema string

// Schema is the JSON Schema (draft 2020-12) of SLO files of every kind, for
// editors. It knows what can be known without other files and without reading
// queries.
func Schema() string { return schema }
