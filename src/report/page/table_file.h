#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/files.h"
#include "report/page/table.h"

namespace foregate::report {

/// One table as <stem>.csv (RFC 4180, with a header) and <stem>.json (an array with one object a
/// row), written row by row: transitions of a large model are millions of rows. Values keep all
/// their digits; NaN is an empty field and null. Both files appear with commit(), or not at all.
/// Throws EnvironmentError.
class TableFile {
 public:
  TableFile(const std::filesystem::path& directory, const std::string& stem);

  void columns(const std::vector<Column>& columns);  ///< Once, before the rows
  void row(const std::vector<Cell>& cells);
  void add(const Table& table);  ///< Its columns and all its rows
  void commit();

 private:
  void flush();

  AtomicFile csv_;
  AtomicFile json_;
  std::string csv_text_;
  std::string json_text_;
  std::vector<std::string> keys_;
  bool first_ = true;
};

}  // namespace foregate::report
