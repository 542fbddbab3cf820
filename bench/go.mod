module github.com/fanoutd/fanoutd/bench

go 1.26.0

require (
	github.com/fanoutd/fanoutd v0.0.0
	google.golang.org/grpc v1.84.0
)

require (
	golang.org/x/net v0.60.0 // indirect
	golang.org/x/sys v0.50.0 // indirect
	golang.org/x/text v0.43.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260928230214-8a89bd6388cc // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)

replace github.com/fanoutd/fanoutd => ..
