#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace foregate::python {

namespace nb = nanobind;

/// A NumPy array that is handed out.
template <typename T>
using NumpyArray = nb::ndarray<nb::numpy, T, nb::c_contig>;

/// A list of numbers that is handed in, of exactly this dtype, one after another.
template <typename T>
using List = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

template <typename T>
std::span<const T> span_of(const List<T>& list) {
  return {list.data(), list.shape(0)};
}

/// The array takes the numbers over.
template <typename T>
NumpyArray<T> numpy_array(std::vector<T>&& values, std::initializer_list<size_t> shape) {
  auto* owner = new std::vector<T>(std::move(values));
  const nb::capsule keeper(owner,
                           [](void* data) noexcept { delete static_cast<std::vector<T>*>(data); });
  return NumpyArray<T>(owner->data(), shape, keeper);
}

/// An array of `shape` with value(i, j, ...) at each place.
template <typename T, typename Value>
NumpyArray<T> numpy_table(size_t rows, size_t columns, const Value& value) {
  std::vector<T> values;
  values.reserve(rows * columns);
  for (size_t i = 0; i < rows; ++i) {
    for (size_t j = 0; j < columns; ++j)
      values.push_back(static_cast<T>(value(static_cast<int>(i), static_cast<int>(j))));
  }
  return numpy_array(std::move(values), {rows, columns});
}
template <typename T, typename Value>
NumpyArray<T> numpy_block(size_t blocks, size_t rows, size_t columns, const Value& value) {
  std::vector<T> values;
  values.reserve(blocks * rows * columns);
  for (size_t b = 0; b < blocks; ++b) {
    for (size_t i = 0; i < rows; ++i) {
      for (size_t j = 0; j < columns; ++j) {
        values.push_back(
            static_cast<T>(value(static_cast<int>(b), static_cast<int>(i), static_cast<int>(j))));
      }
    }
  }
  return numpy_array(std::move(values), {blocks, rows, columns});
}

/// Any array on the CPU, of whatever library, as it lies in memory.
using AnyArray = nb::ndarray<nb::ro, nb::c_contig>;

/// `what` names it in messages. Raises UsageError if it is no array or lies on a device.
AnyArray any_array(nb::handle object, const char* what);

/// "int64", "bfloat16", ..., for messages.
std::string dtype_name(const nb::dlpack::dtype& dtype);

/// Whole numbers from an array of any integer type or a sequence. Raises UsageError.
std::vector<int32_t> whole_numbers(nb::handle object, const char* what);

}  // namespace foregate::python
