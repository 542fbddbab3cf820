package deploy

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/client-go/kubernetes/scheme"
)

const (
	chartDir  = "deploy/helm/fanoutd"
	manifests = "deploy/kubernetes/fanoutd.yaml"
)

var update = flag.Bool("update", false, "write "+manifests)

// render renders the chart as helm template does, with values over its own; and checks
// them against its schema.
func render(t *testing.T, values map[string]any) (string, error) {
	t.Helper()
	chart, err := loader.Load(filepath.Join(root, chartDir))
	if err != nil {
		t.Fatal(err)
	}
	if err := chart.Validate(); err != nil {
		t.Fatal(err)
	}
	release := chartutil.ReleaseOptions{Name: "fanoutd", Namespace: "default", IsInstall: true, Revision: 1}
	all, err := chartutil.ToRenderValues(chart, values, release, nil)
	if err != nil {
		return "", err
	}
	files, err := engine.Render(chart, all)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if text := strings.TrimSpace(files[name]); text != "" && strings.HasSuffix(name, ".yaml") {
			fmt.Fprintf(&b, "---\n%s\n", text)
		}
	}
	return b.String(), nil
}

// decode reads manifests as strictly as kubectl apply --validate=strict: what Kubernetes
// does not know is an error.
func decode(t *testing.T, text string) []runtime.Object {
	t.Helper()
	s := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme.Scheme, scheme.Scheme, json.SerializerOptions{Yaml: true, Strict: true})
	var objects []runtime.Object
	for _, part := range regexp.MustCompile(`(?m)^---$`).Split(text, -1) {
		if lines := regexp.MustCompile(`(?m)^\s*(#.*)?$\n?`).ReplaceAllString(part, ""); lines == "" {
			continue
		}
		object, _, err := s.Decode([]byte(part), nil, nil)
		if err != nil {
			t.Errorf("%v in:\n%s", err, part)
			continue
		}
		objects = append(objects, object)
	}
	return objects
}

func deployment(t *testing.T, objects []runtime.Object) *appsv1.Deployment {
	t.Helper()
	for _, object := range objects {
		if d, ok := object.(*appsv1.Deployment); ok {
			return d
		}
	}
	t.Fatal("no Deployment")
	return nil
}

// kinds are the kinds and names of objects, in order.
func kinds(objects []runtime.Object) string {
	var names []string
	for _, object := range objects {
		name := object.(interface{ GetName() string }).GetName()
		names = append(names, object.GetObjectKind().GroupVersionKind().Kind+"/"+name)
	}
	return strings.Join(names, " ")
}

// What the chart makes of values is what Kubernetes knows and what the daemon takes.
func TestChart(t *testing.T) {
	for _, tt := range []struct {
		name   string
		values map[string]any
		want   string
	}{
		{"as it is", nil, "Deployment/fanoutd Service/fanoutd Service/fanoutd-nodes PodDisruptionBudget/fanoutd"},
		{"one node", map[string]any{"replicas": 1}, "Deployment/fanoutd Service/fanoutd"},
		{
			"scaled", map[string]any{"replicas": 1, "autoscaling": map[string]any{"enabled": true}},
			"HorizontalPodAutoscaler/fanoutd Deployment/fanoutd Service/fanoutd Service/fanoutd-nodes PodDisruptionBudget/fanoutd",
		},
		{
			"everything",
			map[string]any{
				"autoscaling": map[string]any{"enabled": true, "metric": "load", "minReplicas": 3, "maxReplicas": 9, "target": 60, "scaleDownSeconds": 600},
				"networkPolicy": map[string]any{
					"enabled": true, "browsers": []any{map[string]any{"namespaceSelector": map[string]any{"matchLabels": map[string]any{"a": "b"}}}},
					"operators": []any{map[string]any{"ipBlock": map[string]any{"cidr": "10.0.0.0/8"}}},
				},
				"imagePullSecrets": []any{map[string]any{"name": "registry"}},
				"settings":         map[string]any{"origins": "https://app.example.com", "max-connection-age": "1h", "recovery-bytes": 1048576, "demo": true},
				"service":          map[string]any{"type": "LoadBalancer", "annotations": map[string]any{"a": "b"}},
				"ingress":          map[string]any{"enabled": true, "className": "nginx", "host": "app.example.com", "tlsSecret": "app-tls", "annotations": map[string]any{"a": "b"}},
				"nodeSelector":     map[string]any{"a": "b"},
				"tolerations":      []any{map[string]any{"key": "a", "operator": "Exists"}},
				"affinity":         map[string]any{"nodeAffinity": map[string]any{}},
			},
			"HorizontalPodAutoscaler/fanoutd Deployment/fanoutd Ingress/fanoutd NetworkPolicy/fanoutd Service/fanoutd Service/fanoutd-control Service/fanoutd-nodes PodDisruptionBudget/fanoutd",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text, err := render(t, tt.values)
			if err != nil {
				t.Fatal(err)
			}
			objects := decode(t, text)
			if got := kinds(objects); got != tt.want {
				t.Errorf("it makes %s, want %s", got, tt.want)
			}
			checkPods(t, deployment(t, objects))
		})
	}
}

// What is mistyped is refused.
func TestChartRefuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		values map[string]any
		want   string
	}{
		{"an unknown value", map[string]any{"replica": 2}, "replica"},
		{"no node", map[string]any{"replicas": 0}, "replicas"},
		{"an unknown metric", map[string]any{"autoscaling": map[string]any{"enabled": true, "metric": "memory"}}, "metric"},
		{"more at least than at most", map[string]any{"autoscaling": map[string]any{"enabled": true, "minReplicas": 11}}, "minReplicas is above"},
		{"a peer by its name", map[string]any{"networkPolicy": map[string]any{"enabled": true, "backends": []any{"chat"}}}, "backends"},
		{"a setting as a variable", map[string]any{"settings": map[string]any{"LOG_LEVEL": "debug"}}, "LOG_LEVEL"},
		{"an ingress without a host", map[string]any{"ingress": map[string]any{"enabled": true}}, "ingress.host is needed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := render(t, tt.values); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

// checkPods checks what types cannot say.
func checkPods(t *testing.T, d *appsv1.Deployment) {
	t.Helper()
	pod := d.Spec.Template.Spec
	c := pod.Containers[0]
	env := map[string]string{}
	for _, v := range c.Env {
		if _, twice := env[v.Name]; twice {
			t.Errorf("%s is set twice", v.Name)
		}
		env[v.Name] = strings.ReplaceAll(v.Value, "$(POD_IP)", "10.0.0.7")
	}
	for _, probe := range []*corev1.Probe{c.ReadinessProbe, c.LivenessProbe} {
		port := probe.HTTPGet.Port.String()
		if !slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool { return p.Name == port }) {
			t.Errorf("a probe asks at %s, which is no port", port)
		}
	}
	limit := time.Duration(*pod.TerminationGracePeriodSeconds) * time.Second
	sum := 10 * time.Second // grace
	for _, name := range []string{"FANOUTD_DRAIN_DELAY", "FANOUTD_DRAIN_TIME"} {
		if d, err := time.ParseDuration(env[name]); err == nil {
			sum += d
		}
	}
	if limit < sum+5*time.Second {
		t.Errorf("pods have %s to end, and a shutdown may take %s", limit, sum)
	}
	// Files of the Secrets that the daemon only knows when it runs; certificates are checked
	// as variables alone.
	delete(env, "POD_IP")
	maps.DeleteFunc(env, func(name, _ string) bool { return strings.HasPrefix(name, "FANOUTD_CLUSTER_TLS_") })
	if env["FANOUTD_CLUSTER_LISTEN"] != "" {
		env["FANOUTD_INSECURE_CLUSTER"] = "true"
	}
	checkConfig(t, env, "/run/secrets/fanoutd/control-key", "/run/secrets/fanoutd/cluster-secret")
}

// The plain manifests are what the chart makes of its own values.
func TestManifests(t *testing.T) {
	text, err := render(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	text = "# What helm template makes of deploy/helm/fanoutd, for kubectl apply -f; \"make generate-deploy\" renews it.\n# docs/deploying.md says what has to be there before.\n" + text
	if *update {
		if err := os.WriteFile(filepath.Join(root, manifests), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := string(read(t, manifests)); got != text {
		t.Errorf("%s is stale: run \"make generate-deploy\" and commit the result", manifests)
	}
	decode(t, text)
}
