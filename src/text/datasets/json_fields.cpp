#include "text/datasets/json_fields.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace foregate::text {
namespace {

/// Records of wilder shape than this are data, not tables.
constexpr size_t kMaxFields = 1000;
constexpr int kMaxDepth = 64;

/// `whole`: the path for messages, of which `path` is what is left.
void read_value(const JsonRecord& value, std::string_view path, std::string_view whole, int depth,
                std::vector<Value>& values) {
  if (value.is_array() && depth < kMaxDepth) {
    for (const JsonRecord& element : value) read_value(element, path, whole, depth + 1, values);
  } else if (path.empty()) {
    if (value.is_string()) {
      values.push_back({value.get_ref<const std::string&>(), {}});
    } else {
      values.push_back({{}, fmt::format("field '{}' is not a text", whole)});
    }
  } else if (!value.is_object()) {
    values.push_back({{}, fmt::format("field '{}' is missing", whole)});
  } else if (const auto found = value.find(std::string(path)); found != value.end()) {
    read_value(*found, {}, whole, depth + 1, values);
  } else {
    const size_t dot = path.find('.');
    const auto child = value.find(std::string(path.substr(0, dot)));
    if (dot == std::string_view::npos || child == value.end()) {
      values.push_back({{}, fmt::format("field '{}' is missing", whole)});
    } else {
      read_value(*child, path.substr(dot + 1), whole, depth + 1, values);
    }
  }
}

}  // namespace

void read_field(const JsonRecord& object, std::string_view path, std::vector<Value>& values) {
  read_value(object, path, path, 0, values);
}

void FieldSampler::add(const JsonRecord& object, const std::string& prefix, bool in_list,
                       int depth) {
  for (const auto& [key, value] : object.items()) add_value(value, prefix + key, in_list, depth);
}

void FieldSampler::add_value(const JsonRecord& value, const std::string& name, bool in_list,
                             int depth) {
  if (depth == kMaxDepth) return;
  if (value.is_object() && name.size() < 256) add(value, name + ".", in_list, depth + 1);
  if (value.is_array()) {
    for (const JsonRecord& element : value) add_value(element, name, true, depth + 1);
  }
  if (!value.is_string()) return;
  if (fields_.size() >= kMaxFields && !fields_.contains(name)) return;
  Field& field = fields_[name];
  field.bytes += value.get_ref<const std::string&>().size();
  field.in_list |= in_list;
  ++field.count;
}

std::vector<Column> FieldSampler::columns() const {
  std::vector<Column> columns;
  for (const auto& [name, field] : fields_) {
    columns.push_back(
        {name, static_cast<double>(field.bytes) / static_cast<double>(field.count), field.in_list});
  }
  return columns;
}

}  // namespace foregate::text
