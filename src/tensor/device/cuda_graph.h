#pragma once

#include <torch/types.h>

#include <functional>
#include <memory>

namespace foregate::tensor {

/// Where graphs that never run at the same time have what they make on the way: the same memory for
/// all of them, as much as the largest takes. What a graph leaves in tensors that were made while
/// it was recorded is there until another one runs. Outlives its graphs. Nothing on the CPU.
class CudaGraphMemory {
 public:
  explicit CudaGraphMemory(torch::Device device);
  ~CudaGraphMemory();
  CudaGraphMemory(const CudaGraphMemory&) = delete;
  CudaGraphMemory& operator=(const CudaGraphMemory&) = delete;

 private:
  friend class CudaGraph;
  struct Pool;
  std::unique_ptr<Pool> pool_;
};

/// Work that is queued over and over on the same tensors. On a GPU it is recorded as a CUDA graph
/// at its third run and replayed from then on, which takes one launch instead of one for each
/// kernel; on the CPU it simply runs.
class CudaGraph {
 public:
  /// With memory of its own, or `shared`.
  explicit CudaGraph(torch::Device device, CudaGraphMemory* shared = nullptr);
  ~CudaGraph();
  CudaGraph(const CudaGraph&) = delete;
  CudaGraph& operator=(const CudaGraph&) = delete;

  /// Runs `work` or replays it. It must queue the same operations each time, wait for nothing, read
  /// tensors that stay where they are, and leave its results in tensors that were there before, or
  /// that it makes and that are kept: with shared memory until another graph runs.
  void run(const std::function<void()>& work);

 private:
  struct Recording;

  torch::Device device_;
  CudaGraphMemory* shared_;
  int runs_ = 0;  // unrecorded
  std::unique_ptr<Recording> recording_;
};

}  // namespace foregate::tensor
