package shop

import (
	"bytes"
	"embed"
	"fmt"
	"text/template"
	"time"

	"github.com/prometheus/common/model"
)

//go:embed specs/*.yaml
var specs embed.FS

// Specs are the SLO files of the shop by their names: one a service, one of
// corrections, and one of defaults. Times in them, such as that of a correction, are told from live start.
func Specs(live time.Time) map[string][]byte {
	ago := func(text string) (string, error) {
		d, err := model.ParseDuration(text)
		return live.Add(-time.Duration(d)).UTC().Truncate(time.Minute).Format(time.RFC3339), err
	}
	files, err := template.New("").Funcs(template.FuncMap{"ago": ago}).ParseFS(specs, "specs/*.yaml")
	if err != nil {
		panic(err) // only for a file that is none
	}
	out := map[string][]byte{}
	for _, t := range files.Templates() {
		if t.Name() == "" {
			continue
		}
		var text bytes.Buffer
		if err := t.Execute(&text, nil); err != nil {
			panic(fmt.Errorf("writing %s: %w", t.Name(), err)) // as above
		}
		out[t.Name()] = text.Bytes()
	}
	return out
}
