//! One column of a row: from our types to SQLite's and back.

use rusqlite::Row;
use rusqlite::types::{FromSql, Type, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::time::Moment;

/// A row on its way into a table: its columns in order.
#[derive(Default)]
pub(super) struct Cells(Vec<Value>);

impl Cells {
    pub(super) fn text(mut self, text: impl Into<String>) -> Self {
        self.0.push(Value::Text(text.into()));
        self
    }

    pub(super) fn maybe_text(mut self, text: Option<impl Into<String>>) -> Self {
        let text = text.map(Into::into);
        self.0.push(text.map_or(Value::Null, Value::Text));
        self
    }

    /// Numbers above 2^63 do not occur: ids count up from 1, moments are milliseconds.
    pub(super) fn number(mut self, number: impl TryInto<i64>) -> Self {
        let number = number.try_into().unwrap_or(i64::MAX);
        self.0.push(Value::Integer(number));
        self
    }

    pub(super) fn maybe_number(mut self, number: Option<impl TryInto<i64>>) -> Self {
        match number {
            Some(number) => self.number(number),
            None => {
                self.0.push(Value::Null);
                self
            }
        }
    }

    pub(super) fn moment(self, moment: Moment) -> Self {
        self.number(moment.millis())
    }

    pub(super) fn octets(mut self, octets: Option<Vec<u8>>) -> Self {
        self.0.push(octets.map_or(Value::Null, Value::Blob));
        self
    }

    /// As JSON. What cannot be written so does not occur: no map has keys that are no text.
    pub(super) fn json(self, value: &impl Serialize) -> Self {
        self.text(serde_json::to_string(value).unwrap_or_default())
    }

    pub(super) fn values(self) -> Vec<Value> {
        self.0
    }
}

/// A row on its way out: its columns are taken in order.
pub(super) struct Taken<'a> {
    row: &'a Row<'a>,
    next: usize,
}

impl<'a> Taken<'a> {
    pub(super) fn from(row: &'a Row<'a>) -> Self {
        Self { row, next: 0 }
    }

    pub(super) fn take<T: FromSql>(&mut self) -> rusqlite::Result<T> {
        self.next += 1;
        self.row.get(self.next - 1)
    }

    pub(super) fn moment(&mut self) -> rusqlite::Result<Moment> {
        Ok(moment(self.take()?))
    }

    pub(super) fn maybe_moment(&mut self) -> rusqlite::Result<Option<Moment>> {
        Ok(self.take::<Option<u64>>()?.map(moment))
    }

    pub(super) fn json<T: DeserializeOwned>(&mut self) -> rusqlite::Result<T> {
        let text: String = self.take()?;
        serde_json::from_str(&text).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(self.next - 1, Type::Text, Box::new(error))
        })
    }

    /// A column whose text names one of a few things.
    pub(super) fn named<T>(
        &mut self,
        from_name: impl FnOnce(&str) -> Option<T>,
    ) -> rusqlite::Result<T> {
        let text: String = self.take()?;
        from_name(&text).ok_or_else(|| self.unfit(Type::Text))
    }

    /// What a column says does not fit.
    pub(super) fn unfit(&self, kind: Type) -> rusqlite::Error {
        rusqlite::Error::InvalidColumnType(self.next - 1, String::new(), kind)
    }
}

fn moment(millis: u64) -> Moment {
    Moment::from_epoch(std::time::Duration::from_millis(millis))
}
