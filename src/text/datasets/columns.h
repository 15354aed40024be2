#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace foregate::text {

/// What a dataset of a known name looks like.
struct Preset {
  std::string name;
  std::vector<std::string> columns;  ///< the first of these that the file has
  std::string headerless;            ///< column expression for files without a header; may be empty
  bool unique_texts = false;
};

/// Null if no preset has that name.
const Preset* find_preset(std::string_view dataset);

/// Whether tables usually have a column of that name (any letter case): of texts ("review"), or of
/// anything beside them ("label"). Tells a header from a first row.
bool is_usual_column_name(std::string_view name);
/// Whether texts usually stand in a column of that name (any letter case).
bool is_usual_text_name(std::string_view name);
/// The longest usual column name that `cell` starts with; empty if none.
std::string_view usual_name_prefix(std::string_view cell);

/// A column that could be read, as found in the first rows of a file.
struct Column {
  std::string name;       ///< empty in files without a header
  double mean_size = 0;   ///< mean bytes of its texts
  bool in_list = false;   ///< a row may hold several; chosen only if asked for
  std::string example{};  ///< of a column without a name, its first cell, for messages
};

struct ColumnRequest {
  std::string column;   ///< --data's COLUMN; may be empty
  std::string dataset;  ///< --data's NAME
  std::string where;    ///< the file, for errors
};

struct ColumnChoice {
  std::vector<size_t> columns;  ///< several: to be joined by a space
  std::string description;      ///< "column 'text'"
};

/// The columns that the request's COLUMN means; nothing if there are none of that name.
std::optional<std::vector<size_t>> resolve_columns(std::string_view expression,
                                                   const std::vector<Column>& columns);

/// Chooses by request, preset, usual names and size of the texts, in that order. Throws DataError
/// naming the columns there are, or if several have the name.
ColumnChoice choose_columns(const ColumnRequest& request, const std::vector<Column>& columns);

}  // namespace foregate::text
