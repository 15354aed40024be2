#pragma once

#include <torch/types.h>

#include <span>

#include "nn/experts.h"

namespace foregate::nn {

/// Whether few_rows_linear() takes it: some rows of float32 on the CPU, where a library's product
/// is made for many. The MKL that torch brings has no vector code for one row on AMD's processors.
bool has_few_rows(const torch::Tensor& x,        // [T, N]
                  const torch::Tensor& weight);  // [M, N]

/// x * weight^T + bias. A row's result does not depend on the other rows: the sums are those of
/// router.h.
void few_rows_linear(torch::Tensor& result,            // [T, M] float32
                     const torch::Tensor& x,           // [T, N]
                     const torch::Tensor& weight,      // [M, N]
                     const torch::Tensor& bias = {});  // [M], or undefined

/// Whether few_rows_expert() takes an expert on so many rows of x.
bool has_few_rows(const torch::Tensor& x, const ExpertWeights& weights, int64_t count);

/// The expert of this matrix on some rows of x, without a tensor in between.
void few_rows_expert(float* result,           // [tokens, H]
                     const torch::Tensor& x,  // [T, H]
                     std::span<const int64_t> tokens, const ExpertWeights& weights, int64_t matrix);

}  // namespace foregate::nn
