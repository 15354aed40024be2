#include "text/arrow_columns.h"

#include <arrow/api.h>

namespace foregate {
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

void collect(const arrow::FieldVector& fields, const std::string& prefix,
             std::vector<std::string>& paths) {
  for (const auto& field : fields) {
    const std::string path = prefix + field->name();
    if (field->type()->id() == arrow::Type::STRUCT) {
      collect(field->type()->fields(), path + ".", paths);
    } else if (holds_strings(*field->type())) {
      paths.push_back(path);
    }
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

}  // namespace

std::vector<std::string> string_paths(const arrow::Schema& schema) {
  std::vector<std::string> paths;
  collect(schema.fields(), "", paths);
  return paths;
}

ArrowStrings::ArrowStrings(const arrow::RecordBatch& batch, const std::string& path) {
  // A column's own name may hold dots: the longest name that exists wins at each level.
  std::string_view rest = path;
  while (strings_ == nullptr) {
    std::shared_ptr<arrow::Array> found;
    size_t length = rest.size();
    while (true) {
      const std::string name(rest.substr(0, length));
      found = parents_.empty()
                  ? batch.GetColumnByName(name)
                  : static_cast<const arrow::StructArray&>(*parents_.back()).GetFieldByName(name);
      if (found != nullptr) break;
      length = rest.rfind('.', length - 1);
    }
    if (found->type_id() == arrow::Type::STRUCT) {
      parents_.push_back(found);
      rest.remove_prefix(length + 1);
    } else {
      strings_ = found;
    }
  }
}

std::optional<std::string_view> ArrowStrings::at(int64_t row) const {
  for (const auto& parent : parents_) {
    if (parent->IsNull(row)) return std::nullopt;
  }
  if (strings_->IsNull(row)) return std::nullopt;
  if (strings_->type_id() != arrow::Type::DICTIONARY) return string_at(*strings_, row);
  const auto& encoded = static_cast<const arrow::DictionaryArray&>(*strings_);
  const int64_t index = encoded.GetValueIndex(row);
  if (encoded.dictionary()->IsNull(index)) return std::nullopt;
  return string_at(*encoded.dictionary(), index);
}

}  // namespace foregate
