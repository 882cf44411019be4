package config

import (
	"reflect"
	"strings"

	promconfig "github.com/prometheus/common/config"

	"github.com/slowburn-slo/slowburn/config/yamlfile"
)

// checkShape finds the unknown keys and the wrong types in a value that is to
// be decoded into a type of the Prometheus libraries, whose own messages name
// neither the place nor the key.
func checkShape(v yamlfile.Value, t reflect.Type) {
	switch {
	case !v.Present():
	case t == reflect.TypeFor[promconfig.URL](), t.Kind() == reflect.String:
		v.Text()
	case t.Kind() == reflect.Bool:
		v.Bool()
	case t.Kind() == reflect.Pointer:
		checkShape(v, t.Elem())
	case t.Kind() == reflect.Slice:
		for _, e := range v.List() {
			checkShape(e, t.Elem())
		}
	case t.Kind() == reflect.Map:
		for _, e := range v.Map().Entries {
			checkShape(e.Value, t.Elem())
		}
	case t.Kind() == reflect.Struct:
		fields := map[string]reflect.Type{}
		keys, free := structKeys(t, fields)
		if free != nil {
			checkShape(v, free)
			return
		}
		m := v.Map(keys...)
		for _, key := range keys {
			checkShape(m.Get(key), fields[key])
		}
	}
}

// structKeys are the keys of a struct in its order, and their types; or the
// type of map that takes any key. Keys that name a secret in a secret manager
// are left out, for there is none.
func structKeys(t reflect.Type, fields map[string]reflect.Type) (keys []string, free reflect.Type) {
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case options == "inline" && f.Type.Kind() == reflect.Map:
			return nil, f.Type
		case options == "inline":
			inner, _ := structKeys(f.Type, fields)
			keys = append(keys, inner...)
		case name != "" && !strings.HasSuffix(name, "_ref"):
			keys = append(keys, name)
			fields[name] = f.Type
		}
	}
	return keys, nil
}
