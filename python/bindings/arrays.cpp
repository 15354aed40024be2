#include "arrays.h"

#include <fmt/format.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <limits>

#include "errors.h"

namespace foregate::python {
namespace {

using Code = nb::dlpack::dtype_code;

std::string name_of_type(nb::handle object) {
  return nb::cast<std::string>(nb::inst_name(object));
}

template <typename T>
void take(const AnyArray& array, const char* what, std::vector<int32_t>& numbers) {
  const auto* values = static_cast<const T*>(array.data());
  for (size_t i = 0; i < array.size(); ++i) {
    if (!std::in_range<int32_t>(values[i])) {
      throw_error("UsageError",
                  fmt::format("{} holds {}; expected numbers of 32 bits", what, values[i]));
    }
    numbers.push_back(static_cast<int32_t>(values[i]));
  }
}

/// Calls take() for the array's integer type; whether it is one.
bool take_integers(const AnyArray& array, const char* what, std::vector<int32_t>& numbers) {
  const nb::dlpack::dtype dtype = array.dtype();
  const auto is = [&](Code code, int bits) {
    return dtype.code == static_cast<uint8_t>(code) && dtype.bits == bits && dtype.lanes == 1;
  };
  if (is(Code::Int, 64)) return take<int64_t>(array, what, numbers), true;
  if (is(Code::Int, 32)) return take<int32_t>(array, what, numbers), true;
  if (is(Code::Int, 16)) return take<int16_t>(array, what, numbers), true;
  if (is(Code::Int, 8)) return take<int8_t>(array, what, numbers), true;
  if (is(Code::UInt, 64)) return take<uint64_t>(array, what, numbers), true;
  if (is(Code::UInt, 32)) return take<uint32_t>(array, what, numbers), true;
  if (is(Code::UInt, 16)) return take<uint16_t>(array, what, numbers), true;
  if (is(Code::UInt, 8)) return take<uint8_t>(array, what, numbers), true;
  return false;
}

}  // namespace

std::string dtype_name(const nb::dlpack::dtype& dtype) {
  const char* kind = "opaque";
  switch (static_cast<Code>(dtype.code)) {
    case Code::Int:
      kind = "int";
      break;
    case Code::UInt:
      kind = "uint";
      break;
    case Code::Float:
      kind = "float";
      break;
    case Code::Bfloat:
      kind = "bfloat";
      break;
    case Code::Complex:
      kind = "complex";
      break;
    case Code::Bool:
      return "bool";
    default:
      break;
  }
  return fmt::format("{}{}", kind, dtype.bits);
}

AnyArray any_array(nb::handle object, const char* what) {
  AnyArray array;
  if (!nb::try_cast(object, array)) {
    throw_error(
        "UsageError",
        fmt::format("{} is a {} that cannot be read as an array; expected one of NumPy, torch or "
                    "another library with DLPack",
                    what, name_of_type(object)));
  }
  if (array.device_type() != nb::device::cpu::value) {
    throw_error("UsageError",
                fmt::format("{} lies on a device; predictors run on the CPU: copy it there, "
                            "as {}.cpu() does",
                            what, what));
  }
  return array;
}

std::vector<int32_t> whole_numbers(nb::handle object, const char* what) {
  std::vector<int32_t> numbers;
  if (PyList_Check(object.ptr()) != 0 || PyTuple_Check(object.ptr()) != 0) {
    if (nb::try_cast(object, numbers)) return numbers;
    throw_error("UsageError",
                fmt::format("{} holds something that is no whole number of 32 bits", what));
  }
  const AnyArray array = any_array(object, what);
  if (!take_integers(array, what, numbers)) {
    throw_error("UsageError", fmt::format("{} is of {}; expected whole numbers", what,
                                          dtype_name(array.dtype())));
  }
  return numbers;
}

}  // namespace foregate::python
