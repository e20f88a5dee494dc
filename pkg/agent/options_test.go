package agent

import (
	"testing"
	"time"
)

func TestOptions(t *testing.T) {
	good := Options{Interval: time.Second, GCInterval: time.Minute}
	for configMap, valid := range map[string]bool{"a/b": true, "a": false, "a/": false, "/b": false, "a/b/c": false, "": false} {
		o := good
		o.ConfigMap = configMap
		if err := o.Check(); (err == nil) != valid {
			t.Errorf("%q: %v", configMap, err)
		}
	}
	for _, o := range []Options{
		{Config: "x", Interval: 0, GCInterval: time.Minute},
		{Config: "x", Interval: time.Second, GCInterval: -1},
	} {
		if o.Check() == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
}
