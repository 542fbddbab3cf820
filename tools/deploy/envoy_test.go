package deploy

import (
	"regexp"
	"slices"
	"testing"

	bootstrap "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
	"sigs.k8s.io/yaml"
)

// validator is what Envoy's messages implement: the rules of its contract for their fields.
type validator interface{ ValidateAll() error }

// validateEnvoy checks m and all messages in it, those within an Any too, and returns the
// types of the latter.
func validateEnvoy(t *testing.T, m protoreflect.Message) (within []string) {
	t.Helper()
	if v, ok := m.Interface().(validator); ok {
		if err := v.ValidateAll(); err != nil {
			t.Error(err)
		}
	}
	if a, ok := m.Interface().(*anypb.Any); ok {
		inner, err := a.UnmarshalNew()
		if err != nil {
			t.Error(err)
			return nil
		}
		name := string(inner.ProtoReflect().Descriptor().Name())
		return append(validateEnvoy(t, inner.ProtoReflect()), name)
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap():
			if f.MapValue().Message() != nil {
				v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
					within = append(within, validateEnvoy(t, v.Message())...)
					return true
				})
			}
		case f.Message() == nil:
		case f.IsList():
			for i := range v.List().Len() {
				within = append(within, validateEnvoy(t, v.List().Get(i).Message())...)
			}
		default:
			within = append(within, validateEnvoy(t, v.Message())...)
		}
		return true
	})
	return within
}

// The example is what Envoy knows, to the last field, and takes by the rules of its contract,
// with an address in the place of what is to be filled in.
func TestEnvoy(t *testing.T) {
	text := regexp.MustCompile(`FANOUTD_[12]`).ReplaceAll(read(t, "deploy/envoy/envoy.yaml"), []byte("fanoutd.example"))
	json, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		t.Fatal(err)
	}
	config := &bootstrap.Bootstrap{}
	if err := protojson.Unmarshal(json, config); err != nil { // an unknown field is an error
		t.Fatal(err)
	}
	within := validateEnvoy(t, config.ProtoReflect())
	slices.Sort(within)
	if want := []string{
		"DownstreamTlsContext", "DownstreamTlsContext", "HttpConnectionManager", "HttpConnectionManager", "HttpProtocolOptions", "Router", "Router",
	}; !slices.Equal(within, want) {
		t.Errorf("it has extensions %q, want %q", within, want)
	}
	var clusters []string
	for _, c := range config.GetStaticResources().GetClusters() {
		clusters = append(clusters, c.GetName())
	}
	routes := regexp.MustCompile(`\bcluster: (\w+)`).FindAllSubmatch(text, -1)
	if len(routes) != 2 {
		t.Errorf("%d routes to clusters, want 2", len(routes))
	}
	for _, r := range routes {
		if !slices.Contains(clusters, string(r[1])) {
			t.Errorf("a route leads to %s, and there are %q", r[1], clusters)
		}
	}
}
