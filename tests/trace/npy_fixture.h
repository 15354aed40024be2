#pragma once

// npy files byte by byte, independent of the writer under test.

#include <cstdint>
#include <string>
#include <vector>

namespace foregate::trace {

inline std::string npy_dict(const std::string& descr, const std::string& fortran_order,
                            const std::string& shape) {
  return "{'descr': '" + descr + "', 'fortran_order': " + fortran_order + ", 'shape': " + shape +
         ", }";
}

template <typename T>
std::string npy_file(const std::string& dict, const std::vector<T>& values) {
  std::string text = dict;
  while ((10 + text.size() + 1) % 64 != 0) text += ' ';
  text += '\n';
  std::string bytes("\x93NUMPY\x01\x00", 8);
  bytes += static_cast<char>(text.size() & 0xff);
  bytes += static_cast<char>(text.size() >> 8);
  bytes += text;
  bytes.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
  return bytes;
}

template <typename T>
std::string npy_bytes(const std::string& descr, const std::vector<int64_t>& shape,
                      const std::vector<T>& values) {
  std::string dimensions = "(";
  for (const int64_t dimension : shape) dimensions += std::to_string(dimension) + ", ";
  return npy_file(npy_dict(descr, "False", dimensions + ")"), values);
}

}  // namespace foregate::trace
