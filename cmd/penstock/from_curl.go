package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/internal/bulk"
	"github.com/penstock/penstock/internal/curl"
)

// longestCommand is more than anybody writes into a curl command.
const longestCommand = 1 << 20

func fromCurlCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "from-curl COMMAND",
		Short: "Turn a curl command for one file into one of penstock for many",
		Long: `Turn a curl command for one file or record, such as the example in an API's
documentation, into a command of penstock for many.

COMMAND is the curl command as one argument, in quotes, or as its words; with -
it is read from standard input. Nothing is sent.

Output: lines for a POSIX shell. Run as they are they do what the curl command
does. The file is replaced by variables such as {path} and {name}, a record by
the fields of a manifest's line. Tokens and passwords go to files that only you
can read. What is not kept is named in comments.`,
		Example: `  penstock from-curl 'curl -F file=@a.jpg https://api.example.com/upload'
  penstock from-curl - <example.txt >upload.sh`,
		DisableFlagParsing:    true, // they are those of curl
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && (args[0] == "-h" || args[0] == "--help") {
				return cmd.Help()
			}
			script, err := fromCurl(cmd.InOrStdin(), args)
			if err != nil {
				return err
			}
			_, err = io.WriteString(cmd.OutOrStdout(), script)
			return err
		},
	}
}

func fromCurl(stdin io.Reader, args []string) (string, error) {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	var c *curl.Command
	var err error
	switch {
	case len(args) == 0:
		return "", errors.New("which curl command? Give it in quotes, or - to read it from " +
			"standard input")
	case len(args) > 1:
		c, err = curl.ParseWords(args)
	case args[0] == "-":
		text, readErr := io.ReadAll(io.LimitReader(stdin, longestCommand+1))
		if readErr != nil {
			return "", fmt.Errorf("standard input: %w", readErr)
		}
		if len(text) > longestCommand {
			return "", fmt.Errorf("standard input has more than %d bytes: give one curl command",
				longestCommand)
		}
		c, err = curl.Parse(strings.TrimPrefix(string(text), "\ufeff"))
	default:
		c, err = curl.Parse(args[0])
	}
	if err != nil {
		return "", err
	}
	return bulk.Script(c)
}
