// check says what is wrong with an OLM bundle: by the checks of `opm alpha bundle validate`, which takes images only, and by
// those of the API's own library. A warning counts as an error.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/operator-framework/api/pkg/manifests"
	"github.com/operator-framework/api/pkg/validation"
	"github.com/operator-framework/api/pkg/validation/errors"
	"github.com/operator-framework/operator-registry/pkg/lib/bundle"
	"github.com/sirupsen/logrus"
)

var validators = validation.DefaultBundleValidators.WithValidators(
	validation.OperatorHubV2Validator,
	validation.StandardCapabilitiesValidator,
	validation.StandardCategoriesValidator,
	validation.ObjectValidator,
	validation.GoodPracticesValidator,
)

func check(directory string) error {
	image := bundle.NewImageValidator(nil, logrus.NewEntry(logrus.StandardLogger()))
	if err := image.ValidateBundleFormat(directory); err != nil {
		return err
	}
	if err := image.ValidateBundleContent(filepath.Join(directory, bundle.ManifestsDir)); err != nil {
		return err
	}
	content, err := manifests.GetBundleFromDir(directory)
	if err != nil {
		return err
	}
	wrong := 0
	for _, result := range validators.Validate(content.ObjectsToValidate()...) {
		for _, found := range append(result.Errors, result.Warnings...) {
			// Guessed from the plurals in the roles, without their groups and versions; there is no other such file.
			if found.Level == errors.LevelWarn && strings.Contains(found.Detail, "deprecated and removed") {
				continue
			}
			fmt.Fprintf(os.Stderr, "%s: %s\n", result.Name, found)
			wrong++
		}
	}
	if wrong > 0 {
		return fmt.Errorf("%s has %d faults", directory, wrong)
	}
	return nil
}

func main() {
	for _, directory := range os.Args[1:] {
		if err := check(directory); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}
