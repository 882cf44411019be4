package config

import _ "embed" // the schema is a file of its own

//go:embed schema.json
var schema string

// Schema is the JSON Schema (draft 2020-12) of the program's own file, for
// editors.
func Schema() string { return schema }
