// Package cri is a small client of the Kubernetes Container Runtime Interface. It acts on a runtime as the
// kubelet does for a pod with one container.
package cri

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	api "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// patience limits every call.
const patience = time.Minute

// Client talks to one runtime and keeps the IDs of its pods.
type Client struct {
	root    string
	conn    *grpc.ClientConn
	runtime api.RuntimeServiceClient

	lock sync.Mutex
	pods map[string]running // by name
}

// Pod describes a pod.
type Pod struct {
	Name        string
	Annotations map[string]string
	// Image and Command describe the container. If they are empty, the pod has none.
	Image         string
	Command, Args []string
}

// Where the kubelet lets the runtime write a container's output.
const (
	logs    = "/var/log/pods"
	logName = "0.log"
)

// running is the IDs of a running pod.
type running struct{ sandbox, container string }

// Dial returns a client of the containerd with this root folder. It connects with the first call, and again
// after the runtime has restarted.
func Dial(root string) (*Client, error) {
	conn, err := grpc.NewClient("unix://"+filepath.Join(root, "run/containerd/containerd.sock"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	return &Client{root: root, conn: conn, runtime: api.NewRuntimeServiceClient(conn), pods: map[string]running{}}, nil
}

// Close closes the connection. Pods keep running.
func (c *Client) Close() error { return c.conn.Close() }

// within returns the context of one call.
func within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}

// Run runs a pod. If that fails, it removes what it has made.
func (c *Client) Run(pod Pod) error {
	ctx, cancel := within()
	defer cancel()
	config := &api.PodSandboxConfig{
		Metadata:     &api.PodSandboxMetadata{Name: pod.Name, Namespace: "default", Uid: pod.Name},
		LogDirectory: filepath.Join(logs, pod.Name),
		Annotations:  pod.Annotations,
		Linux:        &api.LinuxPodSandboxConfig{},
	}
	sandbox, err := c.runtime.RunPodSandbox(ctx, &api.RunPodSandboxRequest{Config: config})
	if err != nil {
		return fmt.Errorf("run the sandbox of %s: %w", pod.Name, err)
	}
	ids := running{sandbox: sandbox.PodSandboxId}
	if pod.Image != "" {
		if ids.container, err = c.start(ctx, pod, ids.sandbox, config); err != nil {
			return errors.Join(fmt.Errorf("start the container of %s: %w", pod.Name, err), c.remove(ids))
		}
	}
	c.lock.Lock()
	defer c.lock.Unlock()
	c.pods[pod.Name] = ids
	return nil
}

func (c *Client) start(ctx context.Context, pod Pod, sandbox string, config *api.PodSandboxConfig) (string, error) {
	if err := os.MkdirAll(filepath.Join(c.root, logs, pod.Name), 0o755); err != nil {
		return "", err
	}
	created, err := c.runtime.CreateContainer(ctx, &api.CreateContainerRequest{
		PodSandboxId: sandbox,
		Config: &api.ContainerConfig{
			Metadata: &api.ContainerMetadata{Name: pod.Name},
			Image:    &api.ImageSpec{Image: pod.Image},
			Command:  pod.Command,
			Args:     pod.Args,
			LogPath:  logName,
			Linux:    &api.LinuxContainerConfig{},
		},
		SandboxConfig: config,
	})
	if err != nil {
		return "", err
	}
	_, err = c.runtime.StartContainer(ctx, &api.StartContainerRequest{ContainerId: created.ContainerId})
	return created.ContainerId, err
}

// Ended returns an error if the container of a pod is running or has failed.
func (c *Client) Ended(name string) error {
	ctx, cancel := within()
	defer cancel()
	answer, err := c.runtime.ContainerStatus(ctx, &api.ContainerStatusRequest{ContainerId: c.ids(name).container})
	if err != nil {
		return err
	}
	if s := answer.Status; s.State != api.ContainerState_CONTAINER_EXITED || s.ExitCode != 0 {
		return fmt.Errorf("the container of %s: %s, exit status %d: %s", name, s.State, s.ExitCode, s.Message)
	}
	return nil
}

// Log returns the output of a pod's container, in the kubelet's format.
func (c *Client) Log(name string) (string, error) {
	text, err := os.ReadFile(filepath.Join(c.root, logs, name, logName))
	return string(text), err
}

// Exec runs a command in a pod's container and returns its stdout.
func (c *Client) Exec(name string, command ...string) (string, error) {
	ctx, cancel := within()
	defer cancel()
	answer, err := c.runtime.ExecSync(ctx, &api.ExecSyncRequest{
		ContainerId: c.ids(name).container, Cmd: command, Timeout: int64(patience / time.Second),
	})
	if err != nil {
		return "", err
	}
	if answer.ExitCode != 0 {
		return string(answer.Stdout), fmt.Errorf("%v: exit status %d: %s", command, answer.ExitCode, answer.Stderr)
	}
	return string(answer.Stdout), nil
}

// PIDs returns the first processes of a pod's container and of its sandbox.
func (c *Client) PIDs(name string) ([]int, error) {
	ctx, cancel := within()
	defer cancel()
	ids := c.ids(name)
	container, err := c.runtime.ContainerStatus(ctx, &api.ContainerStatusRequest{ContainerId: ids.container, Verbose: true})
	if err != nil {
		return nil, err
	}
	sandbox, err := c.runtime.PodSandboxStatus(ctx, &api.PodSandboxStatusRequest{PodSandboxId: ids.sandbox, Verbose: true})
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, text := range []string{container.Info["info"], sandbox.Info["info"]} {
		var info struct {
			PID int `json:"pid"`
		}
		if err := json.Unmarshal([]byte(text), &info); err != nil {
			return nil, fmt.Errorf("the runtime's report about %s: %w", name, err)
		}
		pids = append(pids, info.PID)
	}
	return pids, nil
}

// Remove stops and removes a pod.
func (c *Client) Remove(name string) error {
	ids := c.ids(name)
	c.lock.Lock()
	delete(c.pods, name)
	c.lock.Unlock()
	if err := c.remove(ids); err != nil {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return nil
}

// remove acts as the kubelet does. The sandbox takes its containers along.
func (c *Client) remove(ids running) error {
	ctx, cancel := within()
	defer cancel()
	if _, err := c.runtime.StopPodSandbox(ctx, &api.StopPodSandboxRequest{PodSandboxId: ids.sandbox}); err != nil {
		return err
	}
	_, err := c.runtime.RemovePodSandbox(ctx, &api.RemovePodSandboxRequest{PodSandboxId: ids.sandbox})
	return err
}

// Network returns nil if the runtime's network is ready, or else the runtime's message.
func (c *Client) Network() error {
	ctx, cancel := within()
	defer cancel()
	answer, err := c.runtime.Status(ctx, &api.StatusRequest{})
	if err != nil {
		return err
	}
	for _, condition := range answer.Status.Conditions {
		if condition.Type == api.NetworkReady && !condition.Status {
			return fmt.Errorf("%s: %s", condition.Reason, condition.Message)
		}
	}
	return nil
}

func (c *Client) ids(name string) running {
	c.lock.Lock()
	defer c.lock.Unlock()
	return c.pods[name]
}
