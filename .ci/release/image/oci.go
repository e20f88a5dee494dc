package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"runtime"
)

// Media types of the OCI image specification.
const (
	mediaIndex    = "application/vnd.oci.image.index.v1+json"
	mediaManifest = "application/vnd.oci.image.manifest.v1+json"
	mediaConfig   = "application/vnd.oci.image.config.v1+json"
	mediaLayer    = "application/vnd.oci.image.layer.v1.tar"
)

type object = map[string]any

// file is a file in a tar archive.
type file struct {
	name    string
	mode    int64
	content []byte
}

// build returns the OCI archive of an image of these files. The first file is the
// entrypoint.
func build(name string, files []file) ([]byte, error) {
	layer, err := pack(files...)
	if err != nil {
		return nil, err
	}
	l := layout{}
	config := l.addJSON(mediaConfig, object{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"config":       object{"Entrypoint": []string{"/" + files[0].name}},
		"rootfs":       object{"type": "layers", "diff_ids": []string{digest(layer)}},
	})
	manifest := l.addJSON(mediaManifest, object{
		"schemaVersion": 2, "mediaType": mediaManifest,
		"config": config, "layers": []object{l.add(mediaLayer, layer)},
	})
	manifest["annotations"] = object{
		"io.containerd.image.name":          name,
		"org.opencontainers.image.ref.name": name,
	}
	index := object{"schemaVersion": 2, "mediaType": mediaIndex, "manifests": []object{manifest}}
	return pack(append(l.blobs,
		file{"index.json", 0o644, mustJSON(index)},
		file{"oci-layout", 0o644, mustJSON(object{"imageLayoutVersion": "1.0.0"})})...)
}

// layout collects the blobs of an archive.
type layout struct {
	blobs []file
}

// add returns the descriptor of the blob.
func (l *layout) add(mediaType string, content []byte) object {
	sum := digest(content)
	l.blobs = append(l.blobs, file{"blobs/sha256/" + sum[len("sha256:"):], 0o644, content})
	return object{"mediaType": mediaType, "digest": sum, "size": len(content)}
}

func (l *layout) addJSON(mediaType string, content object) object {
	return l.add(mediaType, mustJSON(content))
}

func mustJSON(v object) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

func digest(content []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(content)) }

// pack makes a tar archive without times, so that the same files make the same image.
func pack(files ...file) ([]byte, error) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, f := range files {
		header := &tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.content)), Typeflag: tar.TypeReg}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.content); err != nil {
			return nil, err
		}
	}
	return archive.Bytes(), w.Close()
}
