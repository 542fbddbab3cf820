package deploy

import (
	"maps"
	"slices"
	"testing"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// rendered are the objects that the chart makes of values.
func rendered(t *testing.T, values map[string]any) []runtime.Object {
	t.Helper()
	text, err := render(t, values)
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, text)
}

// only returns the one object of a type.
func only[T runtime.Object](t *testing.T, objects []runtime.Object) (found T) {
	t.Helper()
	n := 0
	for _, o := range objects {
		if o, ok := o.(T); ok {
			found = o
			n++
		}
	}
	if n != 1 {
		t.Fatalf("%d objects of type %T", n, found)
	}
	return found
}

// The number of pods is the autoscaler's alone, which scales on the metric that is wanted.
func TestAutoscaler(t *testing.T) {
	for _, metric := range []string{"cpu", "load"} {
		t.Run(metric, func(t *testing.T) {
			objects := rendered(t, map[string]any{"autoscaling": map[string]any{"enabled": true, "metric": metric, "target": 60}})
			a, d := only[*autoscalingv2.HorizontalPodAutoscaler](t, objects), deployment(t, objects)
			if ref := a.Spec.ScaleTargetRef; ref.Name != d.Name || ref.Kind != d.Kind || ref.APIVersion != d.APIVersion {
				t.Errorf("it scales %+v", ref)
			}
			if d.Spec.Replicas != nil {
				t.Errorf("the Deployment says %d pods too", *d.Spec.Replicas)
			}
			if *a.Spec.MinReplicas != 2 || a.Spec.MaxReplicas != 10 || len(a.Spec.Metrics) != 1 {
				t.Fatalf("it is %+v", a.Spec)
			}
			m := a.Spec.Metrics[0]
			switch metric {
			case "cpu":
				if r := m.Resource; r == nil || r.Name != corev1.ResourceCPU || *r.Target.AverageUtilization != 60 {
					t.Errorf("it scales on %+v", m)
				}
				if d.Spec.Template.Spec.Containers[0].Resources.Requests.Cpu().IsZero() {
					t.Error("the pods request no CPU, of which it is a part")
				}
			case "load":
				if p := m.Pods; p == nil || p.Metric.Name != "fanoutd_load_ratio" || p.Target.AverageValue.MilliValue() != 600 {
					t.Errorf("it scales on %+v", m)
				}
			}
			// A pod that ends has that long to hand its browsers over.
			down := a.Spec.Behavior.ScaleDown.Policies
			if len(down) != 1 || down[0].Value != 1 || int64(down[0].PeriodSeconds) < *d.Spec.Template.Spec.TerminationGracePeriodSeconds {
				t.Errorf("it takes pods away by %+v", down)
			}
		})
	}
}

// The policy is for the pods, names ports that they have, and lets in whom it is to.
func TestNetworkPolicy(t *testing.T) {
	peer := func(name string) []any {
		return []any{map[string]any{"podSelector": map[string]any{"matchLabels": map[string]any{"app": name}}}}
	}
	for _, tt := range []struct {
		name   string
		values map[string]any
		want   map[string]string // by port: whom it lets in besides nodes
		nodes  []string          // ports that nodes reach at each other
	}{
		{"as it is", map[string]any{}, map[string]string{"http": "anybody", "grpc": "the namespace"}, []string{"http", "cluster"}},
		{"one node", map[string]any{"replicas": 1}, map[string]string{"http": "anybody", "grpc": "the namespace"}, nil},
		{
			"all named",
			map[string]any{"networkPolicy": map[string]any{"browsers": peer("nginx"), "backends": peer("chat"), "operators": peer("prometheus")}},
			map[string]string{"http": "nginx", "grpc": "chat", "ops": "prometheus"},
			[]string{"http", "cluster"},
		},
		{"no backends", map[string]any{"networkPolicy": map[string]any{"backends": []any{}}}, map[string]string{"http": "anybody"}, []string{"http", "cluster"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			values := maps.Clone(tt.values)
			policy, _ := values["networkPolicy"].(map[string]any)
			policy = maps.Clone(policy)
			if policy == nil {
				policy = map[string]any{}
			}
			policy["enabled"] = true
			values["networkPolicy"] = policy
			objects := rendered(t, values)
			p, d := only[*networkingv1.NetworkPolicy](t, objects), deployment(t, objects)
			if !maps.Equal(p.Spec.PodSelector.MatchLabels, d.Spec.Selector.MatchLabels) {
				t.Errorf("it is for pods with %v", p.Spec.PodSelector.MatchLabels)
			}
			got, nodes := map[string]string{}, []string(nil)
			for _, rule := range p.Spec.Ingress {
				for _, port := range rule.Ports {
					name := port.Port.String()
					if !slices.ContainsFunc(d.Spec.Template.Spec.Containers[0].Ports, func(p corev1.ContainerPort) bool { return p.Name == name }) {
						t.Errorf("the pods have no port %s", name)
					}
					switch who := whom(rule.From, d.Spec.Selector.MatchLabels); who {
					case "nodes":
						nodes = append(nodes, name)
					default:
						got[name] = who
					}
				}
			}
			if !maps.Equal(got, tt.want) || !slices.Equal(nodes, tt.nodes) {
				t.Errorf("it lets in %v, and nodes to %v", got, nodes)
			}
		})
	}
}

// whom says in a word who the peers of a rule are; nodes have these labels.
func whom(peers []networkingv1.NetworkPolicyPeer, node map[string]string) string {
	if len(peers) == 0 {
		return "anybody"
	}
	labels := peers[0].PodSelector.MatchLabels
	switch {
	case len(labels) == 0:
		return "the namespace"
	case maps.Equal(labels, node):
		return "nodes"
	}
	return labels["app"]
}
