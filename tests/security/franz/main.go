// A record there and back by franz-go, with the settings of a Java client's file.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(address, file, topic string) error {
	settings, err := read(file)
	if err != nil {
		return err
	}
	options := []kgo.Opt{kgo.SeedBrokers(address), kgo.ConsumeTopics(topic), kgo.AllowAutoTopicCreation()}
	if strings.HasSuffix(settings["security.protocol"], "SSL") {
		config, err := tlsConfig(settings)
		if err != nil {
			return err
		}
		options = append(options, kgo.DialTLSConfig(config))
	}
	if mechanism := mechanism(settings); mechanism != nil {
		options = append(options, kgo.SASL(mechanism))
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	value := "by franz-go"
	if err := client.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte(value)}).FirstErr(); err != nil {
		return err
	}
	for {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		for _, record := range fetches.Records() {
			if string(record.Value) == value {
				return nil
			}
		}
	}
}

func read(file string) (map[string]string, error) {
	input, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer input.Close()
	settings := map[string]string{}
	for lines := bufio.NewScanner(input); lines.Scan(); {
		if key, value, found := strings.Cut(lines.Text(), "="); found {
			settings[key] = value
		}
	}
	return settings, nil
}

func tlsConfig(settings map[string]string) (*tls.Config, error) {
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	pem, err := os.ReadFile(settings["ssl.truststore.location"])
	if err != nil {
		return nil, err
	}
	config.RootCAs.AppendCertsFromPEM(pem)
	if store := settings["ssl.keystore.location"]; store != "" {
		identity, err := tls.LoadX509KeyPair(store, store)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{identity}
	}
	return config, nil
}

var login = regexp.MustCompile(`username="(.*)" password="(.*)"`)

func mechanism(settings map[string]string) sasl.Mechanism {
	parts := login.FindStringSubmatch(settings["sasl.jaas.config"])
	if parts == nil {
		return nil
	}
	switch settings["sasl.mechanism"] {
	case "PLAIN":
		return plain.Auth{User: parts[1], Pass: parts[2]}.AsMechanism()
	case "SCRAM-SHA-256":
		return scram.Auth{User: parts[1], Pass: parts[2]}.AsSha256Mechanism()
	default:
		return scram.Auth{User: parts[1], Pass: parts[2]}.AsSha512Mechanism()
	}
}
