#include "base/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/files.h"
#include "base/json_dialect.h"
#include "base/stand_in.h"

namespace foregate {
namespace {

/// A value as an error message shows it: short, on one line.
std::string shown(const Json& value) {
  std::string text = json_line(value);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

std::string range(double low, double high) {
  return fmt::format("a number in [{:g}, {:g}]", low, high);
}

}  // namespace

void check_json_depth(std::string_view text, const std::string& where) {
  constexpr int kMaxDepth = 256;
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') in_string = !in_string;
    if (in_string) {
      if (c == '\\') ++i;
    } else if (c == '{' || c == '[') {
      if (++depth <= kMaxDepth) continue;
      throw DataError(
          fmt::format("{}: JSON nested deeper than {} levels at byte {}", where, kMaxDepth, i));
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
}

Json parse_json(std::string_view text, const std::string& where) {
  check_json_depth(text, where);
  try {
    return Json::parse(text);
  } catch (const nlohmann::json::parse_error& error) {
    const std::string unicode = without_lone_surrogates(text);
    if (unicode != text) return parse_json(unicode, where);
    const size_t offset = std::min<size_t>(error.byte > 0 ? error.byte - 1 : 0, text.size());
    const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<long>(offset), '\n');
    const size_t line_start = text.substr(0, offset).rfind('\n');
    const size_t column = offset - (line_start == std::string_view::npos ? 0 : line_start + 1) + 1;
    throw DataError(fmt::format("{}: not valid JSON at line {}, column {} (byte {} of {}){}", where,
                                line, column, offset, text.size(),
                                offset >= text.size() ? "; the file ends too early" : ""));
  } catch (const nlohmann::json::out_of_range&) {
    throw DataError(fmt::format("{}: a number is too large; expected one of up to 1.8e308", where));
  }
}

Json read_json(const std::filesystem::path& path) {
  const std::string content = read_file(path);
  refuse_web_page(content, path.string());
  return parse_json(content, path.string());
}

std::string json_line(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void write_json_atomically(const std::filesystem::path& path, const Json& json) {
  write_file_atomically(path, json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

namespace {

std::optional<JsonDifference> difference_at(const std::string& path, const Json& before,
                                            const Json& now);

std::optional<JsonDifference> object_difference(const std::string& path, const Json& before,
                                                const Json& now) {
  std::set<std::string> keys;
  for (const auto& [key, value] : before.items()) keys.insert(key);
  for (const auto& [key, value] : now.items()) keys.insert(key);
  for (const std::string& key : keys) {
    const std::string name = path.empty() ? key : path + "." + key;
    auto found = difference_at(name, before.value(key, Json()), now.value(key, Json()));
    if (found) return found;
  }
  return std::nullopt;
}

std::optional<JsonDifference> difference_at(const std::string& path, const Json& before,
                                            const Json& now) {
  if (before.is_object() && now.is_object()) return object_difference(path, before, now);
  if (before.is_array() && now.is_array() && before.size() == now.size()) {
    for (size_t i = 0; i < before.size(); ++i) {
      auto found = difference_at(fmt::format("{}[{}]", path, i), before[i], now[i]);
      if (found) return found;
    }
    return std::nullopt;
  }
  if (before == now) return std::nullopt;
  const auto value = [](const Json& json) { return json.is_null() ? "nothing" : shown(json); };
  return JsonDifference{path, value(before), value(now)};
}

}  // namespace

std::optional<JsonDifference> first_difference(const Json& before, const Json& now) {
  return difference_at("", before, now);
}

JsonReader::JsonReader(const Json& json, std::string where)
    : json_(&json), where_(std::move(where)) {
  if (!json.is_object()) {
    throw DataError(fmt::format("{}: expected a JSON object, found {}", where_, shown(json)));
  }
}

bool JsonReader::has(const char* key) const {
  const auto found = json_->find(key);
  return found != json_->end() && !found->is_null();
}

const Json& JsonReader::at(const char* key) const {
  const auto found = json_->find(key);
  if (found == json_->end()) throw DataError(fmt::format("{}: missing key '{}'", where_, key));
  return *found;
}

void JsonReader::fail(const char* key, const std::string& expected) const {
  throw DataError(
      fmt::format("{}: '{}' is {}; expected {}", where_, key, shown(at(key)), expected));
}

int64_t JsonReader::integer(const char* key, int64_t low, int64_t high) const {
  const Json& value = at(key);
  const bool fits = value.is_number_integer() &&
                    !(value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX);
  if (!fits || value.get<int64_t>() < low || value.get<int64_t>() > high) {
    fail(key, fmt::format("an integer in [{}, {}]", low, high));
  }
  return value.get<int64_t>();
}

int64_t JsonReader::integer(const char* key, int64_t low, int64_t high, int64_t fallback) const {
  return has(key) ? integer(key, low, high) : fallback;
}

double JsonReader::number(const char* key, double low, double high) const {
  const Json& value = at(key);
  if (!value.is_number() || !(value.get<double>() >= low && value.get<double>() <= high)) {
    fail(key, range(low, high));
  }
  return value.get<double>();
}

double JsonReader::number(const char* key, double low, double high, double fallback) const {
  return has(key) ? number(key, low, high) : fallback;
}

bool JsonReader::boolean(const char* key) const {
  const Json& value = at(key);
  if (!value.is_boolean()) fail(key, "true or false");
  return value.get<bool>();
}

bool JsonReader::boolean(const char* key, bool fallback) const {
  return has(key) ? boolean(key) : fallback;
}

std::string JsonReader::string(const char* key) const {
  const Json& value = at(key);
  if (!value.is_string()) fail(key, "a string");
  return value.get<std::string>();
}

std::string JsonReader::string(const char* key, const std::string& fallback) const {
  return has(key) ? string(key) : fallback;
}

std::vector<int64_t> JsonReader::integers(const char* key) const {
  std::vector<int64_t> values;
  for (const Json& value : array(key)) {
    if (!value.is_number_integer()) fail(key, "a list of integers");
    values.push_back(value.get<int64_t>());
  }
  return values;
}

std::vector<std::string> JsonReader::strings(const char* key) const {
  std::vector<std::string> values;
  for (const Json& value : array(key)) {
    if (!value.is_string()) fail(key, "a list of strings");
    values.push_back(value.get<std::string>());
  }
  return values;
}

const Json& JsonReader::array(const char* key) const {
  const Json& value = at(key);
  if (!value.is_array()) fail(key, "a list");
  return value;
}

JsonReader JsonReader::object(const char* key) const {
  const Json& value = at(key);
  if (!value.is_object()) fail(key, "an object");
  return JsonReader(value, where_ + ": " + key);
}

}  // namespace foregate
