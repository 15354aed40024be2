#pragma once

#include <torch/types.h>

#include <vector>

#include "nn/experts.h"

namespace foregate::testing {

/// The same experts, kept in another way.
inline nn::ExpertWeights quantized(const nn::ExpertWeights& dense, tensor::Quantization kind) {
  nn::ExpertWeights result = dense;
  for (const auto member : {&nn::ExpertWeights::gate_up, &nn::ExpertWeights::down}) {
    result.*member = tensor::Weight::empty((dense.*member).sizes(), kind, torch::kCPU,
                                           (dense.*member).dense().scalar_type());
    (result.*member).assign(dense.*member, "test");
  }
  return result;
}

/// Experts whose matrices lie in a larger stack, between others.
struct StackedExperts {
  nn::ExpertWeights all;
  nn::ExpertWeights first;  ///< some of them ...
  nn::ExpertWeights rest;   ///< ... and the others
};

inline StackedExperts stacked(const nn::ExpertWeights& own, int64_t places) {
  const int64_t experts = own.gate_up.size(0);
  const torch::Tensor order = torch::randperm(places, torch::kInt64).narrow(0, 0, experts);
  StackedExperts result;
  result.all = own;
  for (const auto member : {&nn::ExpertWeights::gate_up, &nn::ExpertWeights::down}) {
    const tensor::Weight& weight = own.*member;
    std::vector<int64_t> sizes = weight.sizes();
    sizes.front() = places;
    tensor::Weight stack = tensor::Weight::empty(sizes, weight.quantization(), weight.device(),
                                                 weight.codes().scalar_type());
    stack.codes().fill_(1);  // of the others
    if (weight.is_quantized()) stack.scales().fill_(3);
    for (int64_t expert = 0; expert < experts; ++expert) {
      stack[order[expert].item<int64_t>()].copy_from(weight[expert]);
    }
    result.all.*member = stack;
  }
  result.first = result.rest = result.all;
  const auto on_device = [&](const torch::Tensor& matrices) {
    return matrices.to(torch::kInt32).to(own.gate_up.device()).contiguous();
  };
  const torch::Tensor early = torch::arange(experts).lt(experts / 2);
  result.all.matrices = on_device(order);
  result.first.matrices = on_device(torch::where(early, order, torch::full_like(order, -1)));
  result.rest.matrices = on_device(torch::where(early, torch::full_like(order, -1), order));
  return result;
}

}  // namespace foregate::testing
