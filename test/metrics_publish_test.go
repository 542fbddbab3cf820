package test

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// published has backends talk with each other: two that answer, one of which takes no message
// as large as the last.
func (m *metricsTest) published() {
	conn := m.backend(fullKey)
	open := func(id string, most uint32) *fanoutv1.ConsumeRequest_Open {
		return &fanoutv1.ConsumeRequest_Open{Group: "topics", ConsumerId: id, Topics: []string{"t"}, NoEvents: true, MaxMessageBytes: most}
	}
	m.consume(conn, open("large", 0), leaveUnsettled)
	m.consume(conn, open("small", 64<<10), leaveUnsettled)
	for i, args := range []string{"[]", `["` + strings.Repeat("x", 64<<10) + `"]`} {
		resp, err := fanoutv1.NewEventServiceClient(conn).Publish(m.ctx, &fanoutv1.PublishRequest{Topic: "t", Group: "topics", ArgsJson: args, Timeout: durationpb.New(time.Minute)})
		if err != nil || resp.GetMatched() != 2 || len(resp.GetAnswers()) != 2-i || len(resp.GetMissing()) != i {
			m.Errorf("message %d: %v, %v", i, resp, err)
		}
		m.count("fanoutd_publishes_total")
		m.add(float64(resp.GetMatched()), "fanoutd_published_messages_total")
		m.add(float64(len(resp.GetMissing())), "fanoutd_published_dropped_total")
	}
}

// answer answers a message of another backend.
func (c *countingConsumer) answer(p *fanoutv1.ConsumeResponse_Published) {
	if p.GetReplyExpected() {
		c.count("fanoutd_published_answers_total")
		_ = c.send(&fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Answer_{
			Answer: &fanoutv1.ConsumeRequest_Answer{PublishId: p.GetPublishId(), ArgsJson: fmt.Sprintf("[%d]", len(p.GetArgsJson()))},
		}}) // else it left
	}
}
