package main

import (
	"fmt"
	"strings"

	"github.com/fanoutd/fanoutd/internal/sio"
)

// byNamespace is a policy for all namespaces, and others for some.
type byNamespace[P any] struct {
	policy   P            // where no other is given
	policies map[string]P // by namespace
}

// policyValue reads a list of policies: one for all namespaces, by its name, and
// NAMESPACE=POLICY for some. names says which names there are, in words.
func policyValue[P any](into *byNamespace[P], known map[string]P, otherwise, names string) value {
	return listValue(into, []string{otherwise}, names+", once, and NAMESPACE=POLICY, each namespace once",
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
