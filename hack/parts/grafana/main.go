// dashboard-check says what is wrong with the dashboards in the ConfigMaps of files, by the types of Grafana's own SDK: a
// field that is missing, unknown or of another type.
package main

import (
	"fmt"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"sigs.k8s.io/yaml"
)

func check(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var configMap struct {
		Data map[string]string `json:"data"`
	}
	if err := yaml.Unmarshal(text, &configMap); err != nil {
		return err
	}
	if len(configMap.Data) == 0 {
		return fmt.Errorf("has no dashboard")
	}
	for name, data := range configMap.Data {
		var found dashboard.Dashboard
		// Without faults it answers an empty list of them, which is not nil.
		if err := found.UnmarshalJSONStrict([]byte(data)); err != nil && err.Error() != "" {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := found.Validate(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if len(found.Panels) == 0 {
			return fmt.Errorf("%s: has no panel", name)
		}
	}
	return nil
}

func main() {
	// The types of panels and queries.
	plugins.RegisterDefaultPlugins()
	for _, file := range os.Args[1:] {
		if err := check(file); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %s\n", file, err)
			os.Exit(1)
		}
	}
}
