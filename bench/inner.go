package main

import (
	"bufio"
	"bytes"
	stdcsv "encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"

	"github.com/xuri/excelize/v2"
)

// inner is what this program does as a contender itself.
func inner(what string, args ...string) error {
	arg := args[0]
	switch what {
	case "do-read":
		return eachRecord(arg, func([]string) error { return nil })
	case "do-serve":
		return serve(arg, acceptor())
	case "do-list":
		return serve("127.0.0.1:0", lister(arg))
	case "do-decode":
		return decodeCustomers[customer](arg)
	case "do-decode-any":
		return decodeCustomers[any](arg)
	case "do-excelize":
		return readBook(arg)
	case "do-stream":
		return streamBook(arg, args[1])
	case "do-book":
		return sharedBook(arg, args[1])
	}
	return fmt.Errorf("there is no %s", what)
}

// eachRecord reads a file with the standard library.
func eachRecord(path string, f func([]string) error) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	r := stdcsv.NewReader(bufio.NewReaderSize(in, 64<<10))
	r.ReuseRecord = true
	for {
		cells, err := r.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = f(cells)
		}
		if err != nil {
			return err
		}
	}
}

// serve serves until it is ended, and prints where.
func serve(addr string, h http.Handler) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	return http.Serve(l, h)
}

// addressesPath tells how many @ have come since it was last asked.
const addressesPath = "/_bench/addresses"

// acceptor answers every call with 200 once it has been read.
func acceptor() http.Handler {
	var seen atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == addressesPath {
			_, _ = fmt.Fprintf(w, `{"addresses":%d}`, seen.Swap(0))
			return
		}
		if _, err := io.Copy(counter{&seen}, r.Body); err != nil {
			return
		}
		if strings.HasSuffix(r.URL.Path, "/ping") {
			_, _ = io.WriteString(w, `{"pong":true}`)
		}
	})
}

type counter struct{ seen *atomic.Int64 }

func (c counter) Write(p []byte) (int, error) {
	c.seen.Add(int64(bytes.Count(p, []byte{'@'})))
	return len(p), nil
}

// lister answers as Map My Customers does: any token, and a file as the list of customers.
func lister(path string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/api/v1/token", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"token":"good"}`) })
	mux.HandleFunc("/api/v1/customers", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		f, err := os.Open(path)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		defer func() { _ = f.Close() }()
		_, _ = io.Copy(w, f)
	})
	return mux
}

// decodeCustomers reads the list as the standard library does, one element at a time, and nothing else.
func decodeCustomers[T any](url string) error {
	answer, err := http.Get(url)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	return eachElement(answer.Body, func(*T) error { return nil })
}

// eachElement decodes the elements of a JSON array.
func eachElement[T any](in io.Reader, f func(*T) error) error {
	d := json.NewDecoder(in)
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return errors.Join(fmt.Errorf("no list, but %v", t), err)
	}
	for d.More() {
		var x T
		if err := d.Decode(&x); err != nil {
			return err
		}
		if err := f(&x); err != nil {
			return err
		}
	}
	_, err := d.Token()
	return err
}

func readBook(path string) error {
	f, err := excelize.OpenFile(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	rows, err := f.Rows(f.GetSheetName(0))
	if err != nil {
		return err
	}
	for rows.Next() {
		if _, err := rows.Columns(excelize.Options{RawCellValue: true}); err != nil {
			return err
		}
	}
	return errors.Join(rows.Error(), rows.Close())
}

// streamBook writes a workbook with excelize's StreamWriter.
func streamBook(data, book string) error {
	f := excelize.NewFile()
	w, err := f.NewStreamWriter("Sheet1")
	if err != nil {
		return err
	}
	if err := eachRow(data, func(cell string, row []any) error { return w.SetRow(cell, row) }); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return errors.Join(f.SaveAs(book), f.Close())
}

// sharedBook writes a workbook whose texts are in its table of shared strings.
func sharedBook(data, book string) error {
	f := excelize.NewFile()
	last := ""
	if err := eachRow(data, func(cell string, row []any) error {
		last = cell
		return f.SetSheetRow("Sheet1", cell, &row)
	}); err != nil {
		return err
	}
	end, _ := excelize.ColumnNumberToName(len(columns))
	if err := f.SetSheetDimension("Sheet1", "A1:"+end+last[1:]); err != nil {
		return err
	}
	return errors.Join(f.SaveAs(book), f.Close())
}

func eachRow(data string, f func(cell string, row []any) error) error {
	row := make([]any, len(columns))
	n := 0
	return eachRecord(data, func(cells []string) error {
		for i, c := range cells {
			row[i] = c
		}
		n++
		return f(fmt.Sprintf("A%d", n), row)
	})
}
