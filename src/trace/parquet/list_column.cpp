#include "trace/parquet/list_column.h"

#include <arrow/array.h>
#include <arrow/type.h>
#include <arrow/type_traits.h>
#include <fmt/format.h>

#include <limits>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/half.h"

namespace foregate::trace {
namespace {

/// The values of one row: [begin, end) of an array.
struct Range {
  const arrow::Array& values;
  int64_t begin;
  int64_t end;
};

void require_present(const arrow::Array& array, int64_t index, const char* name) {
  if (array.IsNull(index)) throw DataError(fmt::format("'{}' is null; expected a value", name));
}

template <typename ListArray>
Range range_of(const arrow::Array& column, int64_t row) {
  const auto& list = static_cast<const ListArray&>(column);
  const int64_t begin = list.value_offset(row);
  return {*list.values(), begin, begin + list.value_length(row)};
}

Range list_range(const arrow::Array& column, int64_t row, const char* name) {
  require_present(column, row, name);
  const Range range = [&] {
    switch (column.type_id()) {
      case arrow::Type::LARGE_LIST:
        return range_of<arrow::LargeListArray>(column, row);
      case arrow::Type::FIXED_SIZE_LIST:
        return range_of<arrow::FixedSizeListArray>(column, row);
      default:
        return range_of<arrow::ListArray>(column, row);
    }
  }();
  if (range.values.null_count() > 0) {
    for (int64_t i = range.begin; i < range.end; ++i) {
      if (!range.values.IsNull(i)) continue;
      throw DataError(
          fmt::format("'{}' has a null at position {}; expected a value", name, i - range.begin));
    }
  }
  return range;
}

/// Calls `visit` with the array cast to its integer type.
template <typename Visit>
void with_integers(const arrow::Array& array, Visit&& visit) {
  switch (array.type_id()) {
    case arrow::Type::UINT8:
      return visit(static_cast<const arrow::UInt8Array&>(array));
    case arrow::Type::INT8:
      return visit(static_cast<const arrow::Int8Array&>(array));
    case arrow::Type::UINT16:
      return visit(static_cast<const arrow::UInt16Array&>(array));
    case arrow::Type::INT16:
      return visit(static_cast<const arrow::Int16Array&>(array));
    case arrow::Type::UINT32:
      return visit(static_cast<const arrow::UInt32Array&>(array));
    case arrow::Type::INT32:
      return visit(static_cast<const arrow::Int32Array&>(array));
    case arrow::Type::UINT64:
      return visit(static_cast<const arrow::UInt64Array&>(array));
    default:
      return visit(static_cast<const arrow::Int64Array&>(array));
  }
}

template <typename Value>
void read_integers(const arrow::Array& column, int64_t row, const char* name,
                   std::vector<Value>& out) {
  const Range range = list_range(column, row, name);
  out.resize(static_cast<size_t>(range.end - range.begin));
  with_integers(range.values, [&](const auto& array) {
    const auto* values = array.raw_values() + range.begin;
    for (size_t i = 0; i < out.size(); ++i) {
      if (!std::in_range<Value>(values[i])) {
        throw DataError(fmt::format("'{}' has {} at position {}; expected {} to {}", name,
                                    values[i], i, std::numeric_limits<Value>::min(),
                                    std::numeric_limits<Value>::max()));
      }
      out[i] = static_cast<Value>(values[i]);  // NOLINT(bugprone-signed-char-misuse): in range.
    }
  });
}

template <typename Array>
void read_halves(const Range& range, std::vector<uint16_t>& out) {
  const auto* values = static_cast<const Array&>(range.values).raw_values() + range.begin;
  for (size_t i = 0; i < out.size(); ++i) out[i] = float_to_half(static_cast<float>(values[i]));
}

bool is_list(const arrow::DataType& type) {
  return type.id() == arrow::Type::LIST || type.id() == arrow::Type::LARGE_LIST ||
         type.id() == arrow::Type::FIXED_SIZE_LIST;
}

}  // namespace

bool readable_as(const arrow::DataType& type, ColumnKind kind) {
  switch (kind) {
    case ColumnKind::kText:
      return type.id() == arrow::Type::STRING || type.id() == arrow::Type::LARGE_STRING ||
             type.id() == arrow::Type::STRING_VIEW ||
             (type.id() == arrow::Type::DICTIONARY &&
              readable_as(*static_cast<const arrow::DictionaryType&>(type).value_type(), kind));
    case ColumnKind::kInteger:
      return arrow::is_integer(type.id());
    case ColumnKind::kIntegerList:
      return is_list(type) && arrow::is_integer(type.field(0)->type()->id());
    case ColumnKind::kHalfList:
      return is_list(type) && arrow::is_floating(type.field(0)->type()->id());
  }
  return false;
}

std::string_view description(ColumnKind kind) {
  switch (kind) {
    case ColumnKind::kText:
      return "string";
    case ColumnKind::kInteger:
      return "an integer";
    case ColumnKind::kIntegerList:
      return "a list of integers";
    case ColumnKind::kHalfList:
      return "a list of halffloat";
  }
  return "";
}

std::string read_text(const arrow::Array& column, int64_t row, const char* name) {
  require_present(column, row, name);
  switch (column.type_id()) {
    case arrow::Type::LARGE_STRING:
      return static_cast<const arrow::LargeStringArray&>(column).GetString(row);
    case arrow::Type::STRING_VIEW:
      return static_cast<const arrow::StringViewArray&>(column).GetString(row);
    case arrow::Type::DICTIONARY: {
      const auto& encoded = static_cast<const arrow::DictionaryArray&>(column);
      return read_text(*encoded.dictionary(), encoded.GetValueIndex(row), name);
    }
    default:
      return static_cast<const arrow::StringArray&>(column).GetString(row);
  }
}

int64_t read_integer(const arrow::Array& column, int64_t row, const char* name) {
  require_present(column, row, name);
  int64_t result = 0;
  with_integers(column, [&](const auto& array) {
    if (!std::in_range<int64_t>(array.Value(row))) {
      throw DataError(fmt::format("'{}' is {}; expected a 64-bit integer", name, array.Value(row)));
    }
    result = static_cast<int64_t>(array.Value(row));  // NOLINT(bugprone-signed-char-misuse)
  });
  return result;
}

void read_list(const arrow::Array& column, int64_t row, const char* name,
               std::vector<int32_t>& values) {
  read_integers(column, row, name, values);
}

void read_list(const arrow::Array& column, int64_t row, const char* name,
               std::vector<uint16_t>& values) {
  read_integers(column, row, name, values);
}

void read_half_list(const arrow::Array& column, int64_t row, const char* name,
                    std::vector<uint16_t>& values) {
  const Range range = list_range(column, row, name);
  values.resize(static_cast<size_t>(range.end - range.begin));
  switch (range.values.type_id()) {
    case arrow::Type::FLOAT:
      return read_halves<arrow::FloatArray>(range, values);
    case arrow::Type::DOUBLE:
      return read_halves<arrow::DoubleArray>(range, values);
    default: {
      const auto* bits = static_cast<const arrow::HalfFloatArray&>(range.values).raw_values();
      values.assign(bits + range.begin, bits + range.end);
    }
  }
}

}  // namespace foregate::trace
