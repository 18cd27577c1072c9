package options

import (
	"encoding/json"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// ModuleArg reads a module by its name and options.
func ModuleArg(d *caddyfile.Dispenser, namespace, inlineKey string) (json.RawMessage, error) {
	option := d.Val()
	if !d.NextArg() {
		return nil, d.Errf("%s: expected one of: %v", option, moduleNames(namespace))
	}
	name := d.Val()
	if !slices.Contains(moduleNames(namespace), name) {
		if option == "signin" && providerAdvice(name) != "" {
			return nil, d.Errf("signin: unknown %q; %s", name, providerAdvice(name))
		}
		return nil, d.Errf("%s: unknown %q; %sexpected one of: %v", option, name, DidYouMean(name, moduleNames(namespace)), moduleNames(namespace))
	}
	module, err := caddyfile.UnmarshalModule(d, namespace+name)
	if err != nil {
		return nil, err
	}
	return caddyconfig.JSONModuleObject(module, inlineKey, name, nil), nil
}

func moduleNames(namespace string) []string {
	modules := caddy.GetModules(namespace[:len(namespace)-1])
	names := make([]string, 0, len(modules))
	for _, m := range modules {
		names = append(names, m.ID.Name())
	}
	slices.Sort(names)
	return names
}
