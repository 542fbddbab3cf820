package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/fanoutd/fanoutd/internal/settings"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// byNamespace is a policy for all namespaces, and others for some.
type byNamespace[P any] struct {
	policy   P            // where no other is given
	policies map[string]P // by namespace
}

// check refuses namespaces and patterns that are not among names.
func (b byNamespace[P]) check(x *settings.Setting, names []string) error {
	for _, namespace := range slices.Sorted(maps.Keys(b.policies)) {
		if !slices.Contains(names, namespace) {
			return x.Errorf("namespaces has no %q", namespace)
		}
	}
	return nil
}

// policies is a list of policies: one for all namespaces, by its name, and
// NAMESPACE=POLICY for some. names says which names there are, in words.
func policies[P any](to *byNamespace[P], known map[string]P, otherwise, names string) settings.Value {
	return settings.List(to, []string{otherwise}, names+", once, and NAMESPACE=POLICY, each namespace once",
		func(items []string) (byNamespace[P], error) { return parsePolicies(items, known, known[otherwise]) })
}

func parsePolicies[P any](items []string, known map[string]P, otherwise P) (byNamespace[P], error) {
	all := byNamespace[P]{policy: otherwise, policies: map[string]P{}}
	general := false
	for _, item := range items {
		namespace, name, particular := strings.Cut(item, "=")
		if !particular {
			name = item
		}
		p, ok := known[name]
		switch _, twice := all.policies[namespace]; {
		case !ok:
			return byNamespace[P]{}, fmt.Errorf("%q is no policy", name)
		case !particular && general:
			return byNamespace[P]{}, fmt.Errorf("%q is a second policy for all namespaces", name)
		case !particular:
			all.policy, general = p, true
		case twice:
			return byNamespace[P]{}, fmt.Errorf("%q is there twice", namespace)
		default:
			if err := sio.CheckNamespace(namespace); err != nil {
				return byNamespace[P]{}, err
			}
			all.policies[namespace] = p
		}
	}
	return all, nil
}
