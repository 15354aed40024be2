#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace foregate {

using Json = nlohmann::ordered_json;

/// Throws DataError if `text` nests deeper than any document we read: what walks a document may
/// then call itself. `where` names it in errors.
void check_json_depth(std::string_view text, const std::string& where);

/// Parses one JSON document. `where` names it in errors. Throws DataError with line and column.
Json parse_json(std::string_view text, const std::string& where);
/// Throws EnvironmentError (missing) or DataError (broken).
Json read_json(const std::filesystem::path& path);
/// On one line; what is not UTF-8 is replaced.
std::string json_line(const Json& json);
void write_json_atomically(const std::filesystem::path& path, const Json& json);

/// The first place where two documents differ.
struct JsonDifference {
  std::string path;    ///< "geometry.top_k", "datasets[0].name"
  std::string before;  ///< the value there, short; "nothing" if it is not there
  std::string now;
};
std::optional<JsonDifference> first_difference(const Json& before, const Json& now);

/// Checked look-ups in a JSON object. Every error names the document, the key, what was expected
/// and what was found. The object and `where` must outlive the reader.
class JsonReader {
 public:
  /// Throws DataError if `json` is not an object.
  JsonReader(const Json& json, std::string where);

  bool has(const char* key) const;  ///< Present and not null.
  int64_t integer(const char* key, int64_t low, int64_t high) const;
  int64_t integer(const char* key, int64_t low, int64_t high, int64_t fallback) const;
  double number(const char* key, double low, double high) const;
  double number(const char* key, double low, double high, double fallback) const;
  bool boolean(const char* key) const;
  bool boolean(const char* key, bool fallback) const;
  std::string string(const char* key) const;
  std::string string(const char* key, const std::string& fallback) const;
  std::vector<int64_t> integers(const char* key) const;
  std::vector<std::string> strings(const char* key) const;
  const Json& array(const char* key) const;
  /// The object at `key`, reported as "<where>: <key>".
  JsonReader object(const char* key) const;
  const Json& at(const char* key) const;

  const Json& json() const { return *json_; }
  const std::string& where() const { return where_; }
  /// Throws DataError: "<where>: <key> is <found>; expected <expected>".
  [[noreturn]] void fail(const char* key, const std::string& expected) const;

 private:
  const Json* json_;
  std::string where_;
};

}  // namespace foregate
