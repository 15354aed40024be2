#pragma once

// Internal to trace/.
// Takes values out of Arrow arrays of whatever type another writer chose: list, large_list or
// fixed_size_list; any integer for integers; half, float or double for halves.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "trace/parquet/arrow_fwd.h"

namespace foregate::trace {

enum class ColumnKind { kText, kInteger, kIntegerList, kHalfList };

/// Whether values of this Arrow type can be read as `kind`.
bool readable_as(const arrow::DataType& type, ColumnKind kind);
/// "list<uint8> or another list of integers", for error messages.
std::string_view description(ColumnKind kind);

// All throw DataError ("'experts' is null") without file and row, which the caller adds. The type
// has been checked with readable_as().
std::string read_text(const arrow::Array& column, int64_t row, const char* name);
int64_t read_integer(const arrow::Array& column, int64_t row, const char* name);
void read_list(const arrow::Array& column, int64_t row, const char* name,
               std::vector<int32_t>& values);
void read_list(const arrow::Array& column, int64_t row, const char* name,
               std::vector<uint16_t>& values);
/// binary16 bits; wider floats are rounded.
void read_half_list(const arrow::Array& column, int64_t row, const char* name,
                    std::vector<uint16_t>& values);

}  // namespace foregate::trace
