package control_test

import (
	"testing"

	"github.com/fanoutd/fanoutd/internal/control"
	"github.com/fanoutd/fanoutd/internal/control/hubtest"
)

func TestMemoryHub(t *testing.T) {
	hubtest.Test(t, func(*testing.T) hubtest.Fixture {
		hub, connect := control.NewMemoryHub("/chat")
		return hubtest.Fixture{Hub: hub, Connect: connect}
	})
}
