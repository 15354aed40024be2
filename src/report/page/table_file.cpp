#include "report/page/table_file.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/json.h"

namespace foregate::report {
namespace {

constexpr size_t kBuffer = 1 << 20;

std::string csv_field(std::string_view text) {
  std::string clean = clean_utf8(text);
  if (clean.find_first_of(",\"") == std::string::npos) return clean;
  for (size_t at = clean.find('"'); at != std::string::npos; at = clean.find('"', at + 2))
    clean.insert(at, 1, '"');
  return '"' + clean + '"';
}

std::string csv_cell(const Cell& cell) {
  if (const auto* text = std::get_if<std::string>(&cell)) return csv_field(*text);
  if (const auto* count = std::get_if<int64_t>(&cell)) return std::to_string(*count);
  const double value = std::get<double>(cell);
  return std::isnan(value) ? "" : fmt::format("{}", value);
}

std::string json_cell(const Cell& cell) {
  if (const auto* text = std::get_if<std::string>(&cell)) return Json(clean_utf8(*text)).dump();
  const std::string number = csv_cell(cell);
  return number.empty() ? "null" : number;
}

}  // namespace

TableFile::TableFile(const std::filesystem::path& directory, const std::string& stem)
    : csv_(directory / (stem + ".csv")), json_(directory / (stem + ".json")), json_text_("[") {}

void TableFile::columns(const std::vector<Column>& columns) {
  for (const Column& column : columns) {
    if (!keys_.empty()) csv_text_ += ',';
    csv_text_ += csv_field(column.name);
    keys_.push_back(Json(clean_utf8(column.name)).dump());
  }
  csv_text_ += '\n';
}

void TableFile::row(const std::vector<Cell>& cells) {
  json_text_ += std::exchange(first_, false) ? "\n{" : ",\n{";
  for (size_t i = 0; i < cells.size(); ++i) {
    if (i > 0) {
      csv_text_ += ',';
      json_text_ += ',';
    }
    csv_text_ += csv_cell(cells[i]);
    json_text_ += keys_[i] + ':' + json_cell(cells[i]);
  }
  csv_text_ += '\n';
  json_text_ += '}';
  if (json_text_.size() > kBuffer) flush();
}

void TableFile::add(const Table& table) {
  columns(table.columns);
  for (const std::vector<Cell>& cells : table.rows) row(cells);
}

void TableFile::flush() {
  csv_.append(std::exchange(csv_text_, {}));
  json_.append(std::exchange(json_text_, {}));
}

void TableFile::commit() {
  json_text_ += "\n]\n";
  flush();
  csv_.commit();
  json_.commit();
}

}  // namespace foregate::report
