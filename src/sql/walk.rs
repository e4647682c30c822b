//! One walk over the tree, which finds everything that needs the tree: tables with the names
//! of WITHs in scope, functions, what the lint and the portability rules ask about.
//!
//! Invariant: every node is visited once, whatever the nesting of WITHs. May not block.

use std::collections::{HashMap, HashSet};
use std::ops::{ControlFlow, Range};

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, NamedWindowExpr, ObjectName,
    ObjectNamePart, Query as Tree, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, TableFactor,
    TableWithJoins, Value, ValueWithSpan, Visit, Visitor, WindowType,
};

use datafusion::sql::sqlparser::keywords::Keyword;

use super::parse::{RxCall, TableUse};
use super::source::Source;
use super::{lint, portable, portable_functions};
use crate::diagnostic::TextProblem;

/// What the walk found.
#[derive(Default)]
pub(super) struct Facts {
    pub tables: Vec<TableUse>,
    /// Every name that a WITH gives.
    pub with_names: Vec<String>,
    pub rx_calls: Vec<RxCall>,
    /// Why this is no SELECT after all.
    pub refused: Vec<TextProblem>,
    pub lint: Vec<TextProblem>,
    pub portable: Vec<TextProblem>,
}

/// Walks over a statement.
pub(super) fn walk(source: &Source<'_>, tree: &Tree) -> Facts {
    let mut walk = Walk {
        source,
        scopes: Vec::new(),
        selects: Vec::new(),
        only_existence: HashSet::new(),
        in_exists: HashSet::new(),
        facts: Facts::default(),
    };
    // The visitor never breaks off.
    let _: ControlFlow<()> = tree.visit(&mut walk);
    let mut facts = walk.facts;
    facts.tables.sort_by_key(|t| t.span.start);
    facts.rx_calls.sort_by_key(|c| c.span.start);
    facts
}

/// The names that one query's WITH has given so far.
struct Scope {
    recursive: bool,
    visible: HashSet<String>,
    /// The bodies of its WITH: the name of one is seen after its body, or also in it when
    /// the WITH is recursive.
    bodies: HashMap<*const Tree, String>,
}

/// Whether the rows of a window named in this SELECT have an order.
type NamedWindows = HashMap<String, bool>;

struct Walk<'a> {
    source: &'a Source<'a>,
    scopes: Vec<Scope>,
    selects: Vec<NamedWindows>,
    /// Queries inside EXISTS: neither their columns nor the order of their rows matter.
    only_existence: HashSet<*const Tree>,
    /// The SELECTs that are the bodies of those.
    in_exists: HashSet<*const Select>,
    facts: Facts,
}

/// A name as the engine looks it up.
pub(super) fn folded(ident: &Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_ascii_lowercase(),
    }
}

/// A name with all its parts as the engine looks it up.
pub(super) fn folded_name(name: &ObjectName) -> String {
    let parts: Vec<_> = name
        .0
        .iter()
        .map(|part| match part {
            ObjectNamePart::Identifier(ident) => folded(ident),
            ObjectNamePart::Function(function) => function.to_string(),
        })
        .collect();
    parts.join(".")
}

/// The plain expressions among the arguments of a call.
pub(super) fn arguments(function: &Function) -> Vec<&Expr> {
    let FunctionArguments::List(list) = &function.args else { return Vec::new() };
    list.args
        .iter()
        .filter_map(|arg| match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))
            | FunctionArg::Named { arg: FunctionArgExpr::Expr(expr), .. }
            | FunctionArg::ExprNamed { arg: FunctionArgExpr::Expr(expr), .. } => Some(expr),
            _ => None,
        })
        .collect()
}

impl Walk<'_> {
    fn is_with_name(&self, name: &str) -> bool {
        self.scopes.iter().any(|s| s.visible.contains(name))
    }

    fn use_table(&mut self, name: &ObjectName) {
        let folded = folded_name(name);
        // A qualified name is never one of a WITH's.
        if name.0.len() == 1 && self.is_with_name(&folded) {
            return;
        }
        // The parser forgets where a name was that is written as a text: FROM 'x'.
        let place = self.source.of(name).or_else(|| self.source.literal(&folded));
        let span = place.unwrap_or(0..0);
        self.facts.tables.push(TableUse { name: folded, span });
    }

    /// Names under which this FROM gives whole tables, not names of WITHs or subqueries.
    fn tables_of(&self, from: &[TableWithJoins]) -> Vec<String> {
        let mut names = Vec::new();
        let mut todo: Vec<&TableFactor> = Vec::new();
        for tables in from {
            todo.push(&tables.relation);
            todo.extend(tables.joins.iter().map(|j| &j.relation));
        }
        while let Some(factor) = todo.pop() {
            match factor {
                TableFactor::Table { name, alias, args: None, .. } => {
                    let folded_name = folded_name(name);
                    if name.0.len() > 1 || !self.is_with_name(&folded_name) {
                        names.push(alias.as_ref().map_or(folded_name, |a| folded(&a.name)));
                    }
                }
                TableFactor::NestedJoin { table_with_joins: tables, .. } => {
                    todo.push(&tables.relation);
                    todo.extend(tables.joins.iter().map(|j| &j.relation));
                }
                _ => {}
            }
        }
        names
    }

    /// `select *` over a table: its columns are then decided elsewhere.
    fn wildcards(&mut self, select: &Select) {
        for item in &select.projection {
            let options = match item {
                SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options) => options,
                _ => continue,
            };
            let span = self.source.bytes(options.wildcard_token.0.span);
            portable::wildcard(options, span.clone(), &mut self.facts.portable);
            let tables = self.tables_of(&select.from);
            let over_table = match item {
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                    tables.contains(&folded_name(name))
                }
                _ => !tables.is_empty(),
            };
            if over_table {
                self.facts.lint.push(
                    TextProblem::warning("`*` takes whatever columns the table has", span)
                        .help("name the columns, so that a new column upstream changes nothing here"),
                );
            }
        }
    }

    fn function(&mut self, function: &Function) {
        let name = folded_name(&function.name);
        let span = self.source.of(&function.name);
        if name.to_ascii_lowercase().starts_with("rx_") {
            let args = match &function.args {
                FunctionArguments::None => 0,
                FunctionArguments::Subquery(_) => 1,
                FunctionArguments::List(list) => list.args.len(),
            };
            let call = RxCall { name, span: span.unwrap_or(0..0), args };
            lint::rx_call(&call, function, &mut self.facts.lint);
            if call.name == "rx_regex_replace_all" {
                portable_functions::pattern(
                    self.source,
                    arguments(function).get(1).copied(),
                    &mut self.facts.portable,
                );
            }
            self.facts.rx_calls.push(call);
            return;
        }
        let ordered = match &function.over {
            None => None,
            Some(WindowType::WindowSpec(spec)) => {
                portable::order_by(self.source, &spec.order_by, &mut self.facts.portable);
                let based_on = spec.window_name.as_ref().and_then(|base| self.named_window(base));
                Some(!spec.order_by.is_empty() || based_on.unwrap_or(false))
            }
            // The engine says that a window is not known.
            Some(WindowType::NamedWindow(window)) => Some(self.named_window(window).unwrap_or(true)),
        };
        let call = lint::Call { name: &name, span: span.clone(), function, ordered };
        lint::function(&call, &mut self.facts.lint);
        portable_functions::function(self.source, &name, span, function, &mut self.facts.portable);
    }

    fn named_window(&self, name: &Ident) -> Option<bool> {
        self.selects.last()?.get(&folded(name)).copied()
    }
}

impl Visitor for Walk<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Tree) -> ControlFlow<()> {
        let here: *const Tree = query;
        if let Some(scope) = self.scopes.last_mut()
            && scope.recursive
            && let Some(name) = scope.bodies.get(&here)
        {
            scope.visible.insert(name.clone());
        }
        let mut scope = Scope { recursive: false, visible: HashSet::new(), bodies: HashMap::new() };
        if let Some(with) = &query.with {
            scope.recursive = with.recursive;
            for cte in &with.cte_tables {
                let name = folded(&cte.alias.name);
                self.facts.with_names.push(name.clone());
                scope.bodies.insert(&*cte.query, name);
            }
        }
        self.scopes.push(scope);
        let mut todo = vec![&*query.body];
        while let Some(part) = todo.pop() {
            match part {
                SetExpr::SetOperation { left, right, .. } => todo.extend([&**left, &**right]),
                SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::Values(_) => {}
                SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
                    let writes = [Keyword::INSERT, Keyword::UPDATE, Keyword::DELETE, Keyword::MERGE];
                    let place = self.source.keyword(&writes);
                    self.facts.refused.push(
                        TextProblem::error(
                            "only a SELECT statement is allowed, a part of this writes",
                            place,
                        )
                        .help("write the query alone: it only reads"),
                    );
                }
                SetExpr::Table(table) => {
                    let name = table.table_name.as_deref().unwrap_or("name");
                    self.facts.refused.push(
                        TextProblem::error(format!("`TABLE {name}` is not a SELECT statement"), None)
                            .help(format!("write SELECT … FROM {name}")),
                    );
                }
            }
        }
        if !self.only_existence.contains(&here) {
            lint::query(self.source, query, &mut self.facts.lint);
        }
        portable::query(self.source, query, &mut self.facts.portable);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Tree) -> ControlFlow<()> {
        self.scopes.pop();
        let here: *const Tree = query;
        if let Some(scope) = self.scopes.last_mut()
            && let Some(name) = scope.bodies.remove(&here)
        {
            scope.visible.insert(name);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        let mut windows = NamedWindows::new();
        for window in &select.named_window {
            let ordered = match &window.1 {
                NamedWindowExpr::WindowSpec(spec) => {
                    portable::order_by(self.source, &spec.order_by, &mut self.facts.portable);
                    let base = spec.window_name.as_ref().and_then(|base| windows.get(&folded(base)));
                    !spec.order_by.is_empty() || base.copied().unwrap_or(false)
                }
                NamedWindowExpr::NamedWindow(base) => windows.get(&folded(base)).copied().unwrap_or(true),
            };
            windows.insert(folded(&window.0), ordered);
        }
        self.selects.push(windows);
        if let Some(into) = &select.into {
            self.facts.refused.push(
                TextProblem::error("SELECT INTO makes a table", self.source.of(&into.name))
                    .help("remove INTO: what becomes of the rows is not the query's business"),
            );
        }
        if !self.in_exists.contains(&(&raw const *select)) {
            self.wildcards(select);
        }
        portable::select(self.source, select, &mut self.facts.portable);
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, _: &Select) -> ControlFlow<()> {
        self.selects.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table { name, args: None, .. } => self.use_table(name),
            TableFactor::Table { name, args: Some(_), .. } | TableFactor::Function { name, .. } => {
                lint::table_function(&folded_name(name), self.source.of(name), &mut self.facts.lint);
            }
            _ => {}
        }
        lint::table(self.source, factor, &mut self.facts.lint);
        portable::table(self.source, factor, &mut self.facts.portable);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Exists { subquery, .. } => {
                self.only_existence.insert(&**subquery);
                if let SetExpr::Select(select) = &*subquery.body {
                    self.in_exists.insert(&**select);
                }
            }
            Expr::Function(function) => self.function(function),
            _ => {}
        }
        portable::expression(self.source, expr, &mut self.facts.portable);
        ControlFlow::Continue(())
    }

    fn pre_visit_value(&mut self, value: &ValueWithSpan) -> ControlFlow<()> {
        if let Value::Placeholder(text) = &value.value {
            let span = self.source.bytes(value.span).unwrap_or(0..0);
            self.facts.lint.push(lint::placeholder(text, span));
        }
        ControlFlow::Continue(())
    }
}

/// A span that the tree should have given: problems without one are still said.
pub(super) type Place = Option<Range<usize>>;
