#include "text/datasets/arrow_columns.h"

#include <arrow/api.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"

namespace foregate::text {
namespace {

/// The type of a column's values, dictionaries (pandas' categories) looked through.
arrow::Type::type value_type(const arrow::DataType& type) {
  if (type.id() != arrow::Type::DICTIONARY) return type.id();
  return static_cast<const arrow::DictionaryType&>(type).value_type()->id();
}

bool holds_strings(const arrow::DataType& type) {
  switch (value_type(type)) {
    case arrow::Type::STRING:
    case arrow::Type::LARGE_STRING:
    case arrow::Type::STRING_VIEW:
    case arrow::Type::BINARY:  // Old writers leave the mark for UTF-8 out.
    case arrow::Type::LARGE_BINARY:
      return true;
    default:
      return false;
  }
}

bool is_list_type(arrow::Type::type type) {
  return type == arrow::Type::LIST || type == arrow::Type::LARGE_LIST ||
         type == arrow::Type::FIXED_SIZE_LIST;
}

void collect(const arrow::DataType& type, const std::string& path, bool in_list,
             std::vector<Column>& columns) {
  if (type.id() == arrow::Type::STRUCT) {
    for (const auto& field : type.fields()) {
      collect(*field->type(), path + "." + field->name(), in_list, columns);
    }
  } else if (is_list_type(type.id())) {
    collect(*type.field(0)->type(), path, true, columns);
  } else if (holds_strings(type)) {
    columns.push_back({path, 0, in_list});
  }
}

std::string_view string_at(const arrow::Array& array, int64_t row) {
  switch (array.type_id()) {
    case arrow::Type::LARGE_STRING:
    case arrow::Type::LARGE_BINARY:
      return static_cast<const arrow::LargeBinaryArray&>(array).GetView(row);
    case arrow::Type::STRING_VIEW:
      return static_cast<const arrow::BinaryViewArray&>(array).GetView(row);
    default:
      return static_cast<const arrow::BinaryArray&>(array).GetView(row);
  }
}

Value null_text() {
  return {{}, "null text"};
}

Value value_at(const arrow::Array& array, int64_t row) {
  if (array.IsNull(row)) return null_text();
  if (array.type_id() != arrow::Type::DICTIONARY) return {string_at(array, row), {}};
  const auto& encoded = static_cast<const arrow::DictionaryArray&>(array);
  const int64_t index = encoded.GetValueIndex(row);
  if (encoded.dictionary()->IsNull(index)) return null_text();
  return {string_at(*encoded.dictionary(), index), {}};
}

struct Elements {
  int64_t begin, end;
};

template <typename List>
Elements elements_of(const arrow::Array& array, int64_t row) {
  const auto& list = static_cast<const List&>(array);
  const int64_t begin = list.value_offset(row);
  return {begin, begin + list.value_length(row)};
}

Elements elements_at(const arrow::Array& array, int64_t row) {
  switch (array.type_id()) {
    case arrow::Type::LIST:
      return elements_of<arrow::ListArray>(array, row);
    case arrow::Type::LARGE_LIST:
      return elements_of<arrow::LargeListArray>(array, row);
    default:
      return elements_of<arrow::FixedSizeListArray>(array, row);
  }
}

std::shared_ptr<arrow::Array> values_of(const arrow::Array& array) {
  switch (array.type_id()) {
    case arrow::Type::LIST:
      return static_cast<const arrow::ListArray&>(array).values();
    case arrow::Type::LARGE_LIST:
      return static_cast<const arrow::LargeListArray&>(array).values();
    default:
      return static_cast<const arrow::FixedSizeListArray&>(array).values();
  }
}

/// The child that the longest possible start of `path` names, which is cut off: a column's own name
/// may hold dots.
template <typename Find>
std::shared_ptr<arrow::Array> take_child(std::string_view& path, const Find& find) {
  for (size_t length = path.size(); length != std::string_view::npos;
       length = length == 0 ? std::string_view::npos : path.rfind('.', length - 1)) {
    if (auto found = find(std::string(path.substr(0, length)))) {
      path.remove_prefix(std::min(length + 1, path.size()));
      return found;
    }
  }
  throw DataError(fmt::format("two fields of a column are called '{}'; rename one", path));
}

}  // namespace

std::vector<Column> string_columns(const arrow::Schema& schema) {
  std::vector<Column> columns;
  for (const auto& field : schema.fields()) {
    collect(*field->type(), field->name(), false, columns);
  }
  return columns;
}

std::string show_schema(const arrow::Schema& schema) {
  constexpr int kShown = 8;
  constexpr size_t kTypeBytes = 40;
  std::string fields;
  for (int i = 0; i < std::min(schema.num_fields(), kShown); ++i) {
    std::string type = schema.field(i)->type()->ToString();
    if (type.size() > kTypeBytes) type = type.substr(0, kTypeBytes - 3) + "...";
    fields += fmt::format("{}{} ({})", i == 0 ? "" : ", ", schema.field(i)->name(), type);
  }
  return schema.num_fields() > kShown ? fields + ", ..." : fields;
}

ArrowStrings::ArrowStrings(const arrow::RecordBatch& batch, const std::string& path, size_t nth) {
  std::string_view rest = path;
  levels_.push_back(take_child(rest, [&](const std::string& name) -> std::shared_ptr<arrow::Array> {
    const std::vector<int> same = batch.schema()->GetAllFieldIndices(name);
    if (nth < same.size()) return batch.column(same[nth]);
    nth -= same.size();
    return nullptr;
  }));
  while (true) {
    const arrow::Array& last = *levels_.back();
    if (is_list_type(last.type_id())) {
      levels_.push_back(values_of(last));
    } else if (last.type_id() == arrow::Type::STRUCT) {
      const auto& parent = static_cast<const arrow::StructArray&>(last);
      levels_.push_back(
          take_child(rest, [&](const std::string& name) { return parent.GetFieldByName(name); }));
    } else {
      return;
    }
  }
}

void ArrowStrings::read(int64_t row, std::vector<Value>& values) const {
  values.clear();
  read(0, row, values);
}

void ArrowStrings::read(size_t level, int64_t index, std::vector<Value>& values) const {
  const arrow::Array& array = *levels_[level];
  if (level + 1 == levels_.size()) {
    values.push_back(value_at(array, index));
  } else if (array.IsNull(index)) {
    values.push_back(null_text());
  } else if (is_list_type(array.type_id())) {
    const auto [begin, end] = elements_at(array, index);
    for (int64_t i = begin; i < end; ++i) read(level + 1, i, values);
  } else {
    read(level + 1, index, values);
  }
}

}  // namespace foregate::text
