#include "text/json_fields.h"

#include <nlohmann/json.hpp>

namespace foregate {
namespace {

/// Records of wilder shape than this are data, not tables.
constexpr size_t kMaxFields = 1000;

}  // namespace

const JsonRecord* find_field(const JsonRecord& object, std::string_view path) {
  const JsonRecord* value = &object;
  while (value->is_object()) {
    if (const auto found = value->find(std::string(path)); found != value->end()) return &*found;
    const size_t dot = path.find('.');
    if (dot == std::string_view::npos) return nullptr;
    const auto found = value->find(std::string(path.substr(0, dot)));
    if (found == value->end()) return nullptr;
    value = &*found;
    path.remove_prefix(dot + 1);
  }
  return nullptr;
}

void FieldSampler::add(const JsonRecord& object, const std::string& prefix) {
  for (const auto& [key, value] : object.items()) {
    const std::string name = prefix + key;
    if (value.is_object() && name.size() < 256) add(value, name + ".");
    if (!value.is_string()) continue;
    if (fields_.size() >= kMaxFields && !fields_.contains(name)) continue;
    Field& field = fields_[name];
    field.bytes += value.get_ref<const std::string&>().size();
    ++field.count;
  }
}

std::vector<Column> FieldSampler::columns() const {
  std::vector<Column> columns;
  for (const auto& [name, field] : fields_) {
    columns.push_back({name, static_cast<double>(field.bytes) / static_cast<double>(field.count)});
  }
  return columns;
}

}  // namespace foregate
