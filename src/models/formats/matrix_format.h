#pragma once

#include <torch/types.h>

#include <functional>
#include <string>
#include <vector>

#include "models/weights/checkpoint_format.h"
#include "tensor/files/checkpoint.h"
#include "tensor/weight/weight.h"

namespace foregate::models {

/// A tensor that a checkpoint has.
struct StoredTensor {
  std::string name;
  std::vector<int64_t> shape;
  /// Of quantised parts; undefined (kUndefined): float32, bfloat16 or float16.
  torch::ScalarType dtype = torch::ScalarType::Undefined;
  bool required = true;
};

/// Gets runs of a matrix's first dimension, in order. They are valid during the call.
using RowConsumer = std::function<void(int64_t first, const tensor::Weight& rows)>;

/// What is read as it is: float32, bfloat16 or float16.
bool is_float(torch::ScalarType dtype);

/// A matrix's name without ".weight".
std::string module_of(const std::string& name);

/// A matrix, or a stack of them, [..., out, in], somewhere in a checkpoint.
struct StoredMatrix {
  const tensor::Checkpoint& checkpoint;
  const CheckpointFormat& format;
  const std::string& name;  ///< as if it were dense: "...q_proj.weight"
  const std::vector<int64_t>& shape;

  std::string module() const { return module_of(name); }
  std::string what() const;  ///< for errors: the folder and the module
  int64_t outputs() const { return shape[shape.size() - 2]; }
  int64_t inputs() const { return shape.back(); }
  /// Whether floats are what to expect: config.json lists the module as left out; or says nothing
  /// of it, or of modules at all, and floats are what lies there.
  bool is_left_dense() const;
};

/// How matrices of a kind of checkpoint are made of tensors, and read. A kind is a line of the
/// table in matrix_format.cpp; how config.json asks for it, one in checkpoint_format.cpp.
struct MatrixFormat {
  CheckpointFormat::Kind kind;
  /// For people: "gptq 4-bit, groups of 128".
  std::string (*describe)(const CheckpointFormat& format);
  /// The tensors that make up a matrix. Throws DataError where they, or its shape, contradict the
  /// format.
  std::vector<StoredTensor> (*parts)(const StoredMatrix& matrix);
  /// Reads a matrix whose parts are there, a window at a time; what has been consumed leaves this
  /// process's memory.
  void (*read)(const StoredMatrix& matrix, const RowConsumer& consume);
};

/// The line of a kind.
const MatrixFormat& matrix_format(CheckpointFormat::Kind kind);

// The lines' contents, each in a file of its name.
extern const MatrixFormat kDenseMatrices;
extern const MatrixFormat kForegateMatrices;
extern const MatrixFormat kGptqMatrices;
extern const MatrixFormat kAwqMatrices;
extern const MatrixFormat kBitsandbytesMatrices;
extern const MatrixFormat kScaledMatrices;

/// Hands over windows of tensors that have the same first dimension, and drops their pages.
void read_windows(const tensor::Checkpoint& checkpoint, const std::vector<std::string>& names,
                  const std::function<tensor::Weight(const std::vector<torch::Tensor>&)>& join,
                  const RowConsumer& consume);

/// Hands over windows of a matrix's first dimension that `decode` makes, [count, ...] float32, and
/// drops the pages of `parts` at the end.
void read_decoded(const StoredMatrix& matrix, const std::vector<std::string>& parts,
                  const std::function<torch::Tensor(int64_t first, int64_t count)>& decode,
                  const RowConsumer& consume);

}  // namespace foregate::models
