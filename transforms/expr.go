package transforms

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"

	"github.com/crmetl/crmetl/internal/near"
	"github.com/crmetl/crmetl/record"
)

// The bounds of one evaluation: expressions are for cells, not for programs.
const (
	maxNodes = 400     // of an expression
	maxItems = 1000    // of a list, and of all ranges together
	maxCell  = 1 << 20 // bytes of a cell that an expression reads
)

// allowed are the functions of the expression language that a mapping may use. Left out is what depends on the clock,
// so that a resumed run computes the same, and what can grow without bound.
var allowed = map[string]bool{
	"all": true, "any": true, "none": true, "one": true, "filter": true, "map": true, "find": true, "findIndex": true, "count": true, "sum": true,
	"len": true, "abs": true, "ceil": true, "floor": true, "round": true, "int": true, "float": true, "string": true, "max": true, "min": true,
	"trim": true, "trimPrefix": true, "trimSuffix": true, "upper": true, "lower": true, "indexOf": true, "lastIndexOf": true, "hasPrefix": true, "hasSuffix": true,
	"first": true, "last": true, "take": true, "reverse": true, "sort": true, "split": true, "join": true, "replace": true,
}

// ExprError is the error of an expression that does not compile.
type ExprError struct {
	Offset  int // where in the expression, in characters from 0
	Message string
	Nearest string // the column or function that was probably meant
}

// Error returns the message.
func (e *ExprError) Error() string { return e.Message }

// Expression is a compiled expression over the cells of a row, `row["Agent"] + ": " + trim(row["Comment"])`. Cells are
// texts. It may be used by many goroutines.
type Expression struct {
	program *vm.Program
	names   []string // of the variables that stand for cells
	cells   []int    // their positions in the row
	pool    sync.Pool
}

// machine is what one evaluation needs; it is lent to one goroutine at a time and emptied before it is given back.
type machine struct {
	vm  vm.VM
	env map[string]any
}

// CompileExpr compiles an expression over the columns of a row. condition says that it must give true or false.
// Columns are named by constant texts, so that a wrong name is found here; the error is an *ExprError. A column that the
// file may lack is row?.["Name"], which is then an empty text.
func CompileExpr(source string, header *record.Header, condition bool) (*Expression, error) {
	tree, err := parser.Parse(source)
	if err != nil {
		return nil, exprError(err)
	}
	look := &lookup{header: header, used: map[int]string{}}
	ast.Walk(&tree.Node, look)
	if look.err != nil {
		return nil, look.err
	}
	if depth := predicateDepth(tree.Node); depth > 1 {
		return nil, &ExprError{Message: "lists can't be searched within the search of a list"}
	}
	env := map[string]any{}
	x := &Expression{}
	for cell, name := range look.used {
		env[name] = ""
		x.names, x.cells = append(x.names, name), append(x.cells, cell)
	}
	options := []expr.Option{
		expr.Env(env), expr.MaxNodes(maxNodes), expr.Patch(&lookup{header: header, used: look.used}), expr.Patch(&sums{}),
		expr.DisableBuiltin("date"), expr.DisableBuiltin("now"),
		expr.Function("split", splitText, strings.Split), expr.Function("join", joinTexts, new(func([]any, string) string), new(func([]string, string) string), new(func([]any) string), new(func([]string) string)),
		expr.Function("replace", replaceText, strings.ReplaceAll),
		expr.Function("text + text", addTexts, new(func(string, string) string)), expr.Function("any + any", addAny, new(func(any, any) any)),
	}
	if condition {
		options = append(options, expr.AsBool())
	}
	if x.program, err = expr.Compile(source, options...); err != nil {
		return nil, exprError(err)
	}
	x.pool.New = func() any {
		return &machine{vm: vm.VM{MemoryBudget: maxItems}, env: make(map[string]any, len(x.names))}
	}
	return x, nil
}

// exprError turns the library's error, which draws the source with a caret, into a place and a sentence.
func exprError(err error) error {
	var fe *file.Error
	if !errors.As(err, &fe) {
		return &ExprError{Message: err.Error()}
	}
	e := &ExprError{Offset: fe.From, Message: fe.Message}
	if name, ok := strings.CutPrefix(fe.Message, "unknown name "); ok {
		e.Nearest = nearestFunction(name)
	}
	return e
}

func nearestFunction(name string) string {
	names := make([]string, 0, len(allowed))
	for n := range allowed {
		names = append(names, n)
	}
	return near.Name(name, names)
}

// lookup replaces row["Agent"] by a variable of that name, which stands for the cell, and refuses every other use of
// row, unknown columns and functions that are not allowed.
type lookup struct {
	header *record.Header
	used   map[int]string // variables by the position of their cell
	err    *ExprError
}

func (l *lookup) refuse(n ast.Node, message, nearest string) {
	if l.err == nil || n.Location().From < l.err.Offset {
		l.err = &ExprError{Offset: n.Location().From, Message: message, Nearest: nearest}
	}
}

// Visit is called for each node, children first.
func (l *lookup) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.MemberNode:
		id, ok := n.Node.(*ast.IdentifierNode)
		if !ok || id.Value != "row" {
			return
		}
		name, ok := n.Property.(*ast.StringNode)
		if !ok {
			l.refuse(n, `row[…] needs the name of a column in quotes: row["Name"]`, "")
			return
		}
		cell := l.header.Index(name.Value)
		if cell < 0 && n.Optional { // row?.["Name"]
			ast.Patch(node, &ast.StringNode{})
			(*node).SetLocation(n.Location())
			return
		}
		if cell < 0 {
			l.refuse(n.Property, fmt.Sprintf("unknown column %s", Quote(name.Value)), near.Name(name.Value, l.header.Names()))
			return
		}
		variable := "row[" + strconv.Quote(name.Value) + "]"
		l.used[cell] = variable
		ast.Patch(node, &ast.IdentifierNode{Value: variable})
		(*node).SetLocation(n.Location())
	case *ast.BuiltinNode:
		l.function(n, n.Name)
	case *ast.CallNode:
		if id, ok := n.Callee.(*ast.IdentifierNode); ok {
			l.function(id, id.Value)
		}
	case *ast.IdentifierNode:
		if n.Value == "$env" {
			l.refuse(n, "$env is not at hand; cells are row[\"Name\"]", "")
		}
	case *ast.VariableDeclaratorNode:
		if n.Name == "row" {
			l.refuse(n, "row is the row of the file and can't be declared", "")
		}
	}
}

func (l *lookup) function(n ast.Node, name string) {
	if !allowed[name] && name != "text + text" && name != "any + any" {
		l.refuse(n, fmt.Sprintf("unknown function %s", name), nearestFunction(name))
	}
}

// predicateDepth is how deep functions over lists nest in their predicates.
func predicateDepth(n ast.Node) int {
	depth := 0
	most := func(nodes ...ast.Node) {
		for _, k := range nodes {
			if k != nil {
				depth = max(depth, predicateDepth(k))
			}
		}
	}
	switch n := n.(type) {
	case *ast.BuiltinNode:
		most(n.Arguments...)
	case *ast.PredicateNode:
		return 1 + predicateDepth(n.Node)
	case *ast.UnaryNode:
		most(n.Node)
	case *ast.BinaryNode:
		most(n.Left, n.Right)
	case *ast.ChainNode:
		most(n.Node)
	case *ast.MemberNode:
		most(n.Node, n.Property)
	case *ast.SliceNode:
		most(n.Node, n.From, n.To)
	case *ast.CallNode:
		most(n.Callee)
		most(n.Arguments...)
	case *ast.ConditionalNode:
		most(n.Cond, n.Exp1, n.Exp2)
	case *ast.VariableDeclaratorNode:
		most(n.Value, n.Expr)
	case *ast.SequenceNode:
		most(n.Nodes...)
	case *ast.ArrayNode:
		most(n.Nodes...)
	case *ast.MapNode:
		most(n.Pairs...)
	case *ast.PairNode:
		most(n.Key, n.Value)
	}
	return depth
}

// sums replaces + on texts by functions that bound the text's length: doubling a text some forty times over would
// fill any memory.
type sums struct{}

// Visit is called for each node, children first; types are known by then.
func (*sums) Visit(node *ast.Node) {
	n, ok := (*node).(*ast.BinaryNode)
	if !ok || n.Operator != "+" {
		return
	}
	l, r := kindOf(n.Left), kindOf(n.Right)
	name := ""
	switch {
	case l == "string" && r == "string":
		name = "text + text"
	case l == "" || r == "":
		name = "any + any"
	default:
		return
	}
	ast.Patch(node, &ast.CallNode{Callee: &ast.IdentifierNode{Value: name}, Arguments: []ast.Node{n.Left, n.Right}})
}

// kindOf names the type of a node, "" if it is known only when the expression runs.
func kindOf(n ast.Node) string {
	t := n.Type()
	if t == nil {
		return ""
	}
	if k := t.Kind().String(); k != "interface" {
		return k
	}
	return ""
}

func addTexts(p ...any) (any, error) {
	l, r := p[0].(string), p[1].(string)
	if len(l)+len(r) > maxText+maxCell {
		return nil, tooLong(len(l) + len(r))
	}
	return l + r, nil
}

func addAny(p ...any) (any, error) {
	switch l := p[0].(type) {
	case string:
		if _, ok := p[1].(string); ok {
			return addTexts(p...)
		}
	case int:
		switch r := p[1].(type) {
		case int:
			return l + r, nil
		case float64:
			return float64(l) + r, nil
		}
	case float64:
		switch r := p[1].(type) {
		case int:
			return l + float64(r), nil
		case float64:
			return l + r, nil
		}
	}
	return nil, fmt.Errorf("can't add %s and %s; string(…), int(…) and float(…) convert", kindName(p[0]), kindName(p[1]))
}

func kindName(v any) string {
	switch v.(type) {
	case nil:
		return "nothing"
	case string:
		return "a text"
	case int, float64:
		return "a number"
	case bool:
		return "a boolean"
	}
	return "a list"
}

func splitText(p ...any) (any, error) {
	s, sep := p[0].(string), p[1].(string)
	if sep == "" {
		return nil, errors.New("can't split at an empty text")
	}
	if n := strings.Count(s, sep) + 1; n > maxItems {
		return nil, fmt.Errorf("split gives %d items; %d is the limit", n, maxItems)
	}
	return strings.Split(s, sep), nil
}

func joinTexts(p ...any) (any, error) {
	sep := ""
	if len(p) == 2 {
		sep = p[1].(string)
	}
	var items []string
	switch list := p[0].(type) {
	case []string:
		items = list
	case []any:
		for _, x := range list {
			s, ok := x.(string)
			if !ok {
				return nil, fmt.Errorf("join wants texts, not %s", kindName(x))
			}
			items = append(items, s)
		}
	}
	n := len(sep) * len(items)
	for _, s := range items {
		n += len(s)
	}
	if n > maxText+maxCell {
		return nil, tooLong(n)
	}
	return strings.Join(items, sep), nil
}

func replaceText(p ...any) (any, error) {
	s, from, to := p[0].(string), p[1].(string), p[2].(string)
	if from == "" {
		return nil, errors.New("can't replace an empty text")
	}
	if n := len(s) + strings.Count(s, from)*(len(to)-len(from)); n > maxText+maxCell {
		return nil, tooLong(n)
	}
	return strings.ReplaceAll(s, from, to), nil
}

// Eval evaluates the expression over the cells of a row; cells that the row lacks are empty. An error is a *Refusal
// of rule "expr", or "cell" if a cell that the expression reads holds a spreadsheet's error.
func (x *Expression) Eval(cells []record.Value) (record.Value, error) {
	out, err := x.run(cells)
	if err != nil {
		return record.Value{}, err
	}
	v, err := fromAny(out)
	if err != nil {
		return v, &Refusal{"expr", err.Error()}
	}
	return v, nil
}

// True evaluates a condition.
func (x *Expression) True(cells []record.Value) (bool, error) {
	out, err := x.run(cells)
	b, _ := out.(bool)
	return b, err
}

func (x *Expression) run(cells []record.Value) (any, error) {
	m := x.pool.Get().(*machine)
	defer func() {
		clear(m.env)
		x.pool.Put(m)
	}()
	for i, name := range x.names {
		s := ""
		if c := x.cells[i]; c < len(cells) {
			v := cells[c]
			if v.Kind() == record.Fault {
				return nil, faulty(v)
			}
			if s = v.Cell(); len(s) > maxCell {
				return nil, &Refusal{"expr", fmt.Sprintf("%s holds %d bytes; an expression reads %d at most", name, len(s), maxCell)}
			}
		}
		m.env[name] = s
	}
	out, err := m.vm.Run(x.program, m.env)
	if err != nil {
		message := err.Error()
		var fe *file.Error
		if errors.As(err, &fe) {
			message = fe.Message
		}
		return nil, &Refusal{"expr", "the expression gives no value: " + strings.TrimPrefix(message, "runtime error: ")}
	}
	return out, nil
}

// fromAny turns a result of the expression language into a value.
func fromAny(x any) (record.Value, error) {
	switch x := x.(type) {
	case nil:
		return record.Value{}, nil
	case string:
		return record.TextOf(x), nil
	case bool:
		return record.BoolOf(x), nil
	case int:
		return record.NumberOf(strconv.Itoa(x)), nil
	case float64:
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return record.Value{}, errors.New("the result is not a number that can be written")
		}
		return record.NumberOf(strconv.FormatFloat(x, 'f', -1, 64)), nil
	case []string:
		return record.ListOf(x), nil
	case []int:
		items := make([]any, len(x))
		for i, n := range x {
			items[i] = n
		}
		return listOf(items)
	case []any:
		return listOf(x)
	}
	return record.Value{}, errors.New("the result is neither a text, a number, a boolean nor a list of these")
}

func listOf(items []any) (record.Value, error) {
	b := []byte{'['}
	for i, it := range items {
		v, err := fromAny(it)
		if err != nil {
			return record.Value{}, err
		}
		if v.Kind() == record.List {
			return record.Value{}, errors.New("the result is a list of lists")
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = v.AppendJSON(b)
	}
	return record.Of(record.List, string(append(b, ']'))), nil
}

// ExprColumns returns the columns that an expression reads, in the order in which they stand; an expression that can't
// be parsed reads none.
func ExprColumns(source string) []string {
	tree, err := parser.Parse(source)
	if err != nil {
		return nil
	}
	var c columnNames
	ast.Walk(&tree.Node, &c)
	return c
}

type columnNames []string

// Visit is called for each node, children first.
func (c *columnNames) Visit(node *ast.Node) {
	if n, ok := (*node).(*ast.MemberNode); ok {
		id, isRow := n.Node.(*ast.IdentifierNode)
		name, isText := n.Property.(*ast.StringNode)
		if isRow && isText && id.Value == "row" {
			*c = append(*c, name.Value)
		}
	}
}
