// The part of CUDA that the kernels use, for a plain C++17 compiler. A test compiles a `.cu` file
// unchanged against this file and runs its kernels on the CPU. `types.cuh` includes it where the
// compiler is not nvcc.
//
// The threads of a block are coroutines. A thread runs until it waits: at `__syncthreads` for its
// block, at `__syncwarp`, a shuffle or a tensor-core product for its warp. Nobody else runs
// meanwhile, so a launch is deterministic; `order` says in which order the threads of a block, and
// the blocks, take their turns. A kernel without races gives the same bits in every order; a
// missing barrier shows as a difference.
//
// Faults end a launch with a message: a barrier that some threads of the block never reach, a warp
// whose threads wait at different places, a misaligned vector access, a wrong number of arguments.
// Shared memory begins as NaN in every block.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <utility>
#include <vector>
// The system's contexts work everywhere, but switch ten times more slowly.
#if !defined(__x86_64__)
#define SHIM_UCONTEXT
#endif
#if defined(SHIM_UCONTEXT)
#include <ucontext.h>
#endif

#define __device__
#define __global__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __grid_constant__
// All shared variables lie in one section, which is filled with NaN before each block.
#if defined(__ELF__)
#define __shared__ static __attribute__((section("shim_shared"), used))
extern "C" __attribute__((weak)) char __start_shim_shared[];
extern "C" __attribute__((weak)) char __stop_shim_shared[];
#else
#define __shared__ static
static char *__start_shim_shared = nullptr, *__stop_shim_shared = nullptr;
#endif

struct dim3 {
    unsigned x = 1, y = 1, z = 1;
};
struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(8) uint2 {
    unsigned x, y;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};

static dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace shim {

// A launch, as a test describes it: the same memory layout as `HostLaunch` in
// tests/cuda/library.rs.
struct Launch {
    dim3 grid, block;
    uint64_t order;  // 0: ascending, 1: descending, otherwise the seed of random turns
};

enum class State { Ready, AtWarp, AtBlock, Done };

struct Thread {
    State state = State::Ready;
    unsigned linear = 0;
    dim3 index;
    unsigned n_exchanges = 0;        // selects one of the two slots
    unsigned char slot[2][32] = {};  // what the thread shows to its warp
    char* stack = nullptr;
#if !defined(SHIM_UCONTEXT)
    void* stack_pointer = nullptr;
#else
    ucontext_t context;
#endif
};

static constexpr size_t STACK_BYTES = 128 * 1024;
static std::vector<Thread> threads;
static std::vector<unsigned> n_at_warp;
static unsigned n_threads, current;
static std::string fault;
// One for all files of a library, because their shared memory lies in the same section.
__attribute__((visibility("hidden"))) inline std::mutex one_at_a_time;
static thread_local std::string answer;
static void (*body)(void*);
static void* body_argument;

#if !defined(SHIM_UCONTEXT)
// Saves the registers that a call preserves, and continues on another stack.
extern "C" void shim_switch(void** save, void* next);
asm(".text\n"
    "shim_switch:\n"
    "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n  pushq %r13\n  pushq %r14\n  pushq %r15\n"
    "  movq %rsp, (%rdi)\n  movq %rsi, %rsp\n"
    "  popq %r15\n  popq %r14\n  popq %r13\n  popq %r12\n  popq %rbx\n  popq %rbp\n  ret\n");
static void* scheduler_pointer;
static void to_scheduler(Thread& thread) { shim_switch(&thread.stack_pointer, scheduler_pointer); }
static void to_thread(Thread& thread) { shim_switch(&scheduler_pointer, thread.stack_pointer); }
#else
static ucontext_t scheduler_context;
static void to_scheduler(Thread& thread) { swapcontext(&thread.context, &scheduler_context); }
static void to_thread(Thread& thread) { swapcontext(&scheduler_context, &thread.context); }
#endif

// Lets other threads run until this one may continue.
__attribute__((noinline)) static void wait(State state) {
    Thread& me = threads[current];
    me.state = state;
    to_scheduler(me);
    asm volatile("" ::: "memory");
}

// Ends the launch with a message; the calling thread does not return.
__attribute__((noinline)) static void fail(const std::string& message) {
    if (fault.empty()) {
        char place[160];
        snprintf(place, sizeof place, " (block %u,%u,%u, thread %u)", blockIdx.x, blockIdx.y,
                 blockIdx.z, current);
        fault = message + place;
    }
    wait(State::Done);
    abort();
}

static void entry() {
    body(body_argument);
    wait(State::Done);
    abort();
}

static void prepare(Thread& thread) {
    if (!thread.stack) thread.stack = static_cast<char*>(malloc(STACK_BYTES));
    thread.state = State::Ready;
    thread.n_exchanges = 0;
#if !defined(SHIM_UCONTEXT)
    // `ret` takes the address of `entry`, with the stack aligned as after a call.
    void** top = reinterpret_cast<void**>(thread.stack + STACK_BYTES - 64);
    top = reinterpret_cast<void**>(reinterpret_cast<uintptr_t>(top) & ~uintptr_t(15));
    top[0] = reinterpret_cast<void*>(entry);
    top[1] = nullptr;
    thread.stack_pointer = top - 6;
#else
    getcontext(&thread.context);
    thread.context.uc_stack.ss_sp = thread.stack;
    thread.context.uc_stack.ss_size = STACK_BYTES;
    thread.context.uc_link = &scheduler_context;
    makecontext(&thread.context, entry, 0);
#endif
}

// The turns of one round: a permutation of 0..n.
struct Turns {
    uint64_t order, state;
    std::vector<unsigned> turns;
    Turns(uint64_t order_, unsigned n)
        : order(order_), state(order_ * 0x9E3779B97F4A7C15ull + n), turns(n) {
        for (unsigned i = 0; i < n; i++) turns[i] = order == 1 ? n - 1 - i : i;
    }
    void next() {
        if (order < 2) return;
        for (size_t i = turns.size(); i > 1; i--) {
            state = state * 6364136223846793005ull + 1442695040888963407ull;
            std::swap(turns[i - 1], turns[(state >> 33) % i]);
        }
    }
};

// Gives a thread its turn; false if it waits.
static bool run_thread(unsigned turn) {
    Thread& thread = threads[turn];
    if (thread.state != State::Ready || !fault.empty()) return false;
    current = turn;
    threadIdx = thread.index;
    to_thread(thread);
    asm volatile("" ::: "memory");
    return true;
}

static void run_block(Turns& turns) {
    if (__start_shim_shared)
        memset(__start_shim_shared, 0xFF, __stop_shim_shared - __start_shim_shared);
    for (unsigned i = 0; i < n_threads; i++) prepare(threads[i]);
    n_at_warp.assign(n_threads / 32, 0);
    // In a fixed order, a warp runs until it waits for the block, so that warps get far ahead of
    // each other.
    const size_t at_once = turns.order < 2 ? 32 : n_threads;
    for (;;) {
        bool ran = false;
        turns.next();
        for (size_t first = 0; first < n_threads; first += at_once) {
            bool again = true;
            while (again) {
                again = false;
                for (size_t i = first; i < first + at_once; i++)
                    again |= run_thread(turns.turns[i]);
                if (!fault.empty()) return;
                ran |= again;
                again &= turns.order < 2;
            }
        }
        unsigned at_block = 0, done = 0;
        for (unsigned i = 0; i < n_threads; i++) {
            at_block += threads[i].state == State::AtBlock;
            done += threads[i].state == State::Done;
        }
        if (done == n_threads) return;
        if (at_block == n_threads) {
            for (unsigned i = 0; i < n_threads; i++) threads[i].state = State::Ready;
        } else if (!ran) {
            current = 0;
            char text[160];
            snprintf(text, sizeof text,
                     "of %u threads, %u wait at __syncthreads, %u have returned, the others wait "
                     "for their warp",
                     n_threads, at_block, done);
            fault = text;
            return;
        }
    }
}

static void run(const Launch& launch) {
    gridDim = launch.grid;
    blockDim = launch.block;
    n_threads = blockDim.x * blockDim.y * blockDim.z;
    if (n_threads == 0 || n_threads % 32 || n_threads > 1024) {
        fault = "a block has 32, 64, … 1024 threads, not " + std::to_string(n_threads);
        return;
    }
    if (threads.size() < n_threads) threads.resize(n_threads);
    for (unsigned i = 0; i < n_threads; i++) {
        threads[i].linear = i;
        threads[i].index.x = i % blockDim.x;
        threads[i].index.y = i / blockDim.x % blockDim.y;
        threads[i].index.z = i / blockDim.x / blockDim.y;
    }
    unsigned n_blocks = gridDim.x * gridDim.y * gridDim.z;
    Turns blocks(launch.order, n_blocks), turns(launch.order, n_threads);
    blocks.next();
    for (unsigned block : blocks.turns) {
        blockIdx.x = block % gridDim.x;
        blockIdx.y = block / gridDim.x % gridDim.y;
        blockIdx.z = block / gridDim.x / gridDim.y;
        run_block(turns);
        if (!fault.empty()) return;
    }
}

template <class... A, size_t... I>
static void call(void (*kernel)(A...), void** parameters, std::index_sequence<I...>) {
    kernel(*static_cast<A*>(parameters[I])...);
}

// For a caller that does not know how many arguments there are, as cuLaunchKernel.
static constexpr unsigned ANY_NUMBER = ~0u;

// Runs a kernel with the arguments at `parameters`, as cuLaunchKernel does. Returns 0, or a message
// that lasts until the calling thread's next launch.
template <class... A>
static const char* launch(void (*kernel)(A...), const Launch& launch, void** parameters,
                          unsigned n_parameters) {
    std::lock_guard<std::mutex> lock(one_at_a_time);
    fault.clear();
    if (n_parameters != ANY_NUMBER && n_parameters != sizeof...(A)) {
        fault = "the kernel takes " + std::to_string(sizeof...(A)) + " arguments, not " +
                std::to_string(n_parameters);
    } else {
        struct Bound {
            void (*kernel)(A...);
            void** parameters;
        } bound{kernel, parameters};
        body = [](void* at) {
            Bound& bound = *static_cast<Bound*>(at);
            call(bound.kernel, bound.parameters, std::index_sequence_for<A...>{});
        };
        body_argument = &bound;
        run(launch);
    }
    answer = fault;
    return answer.empty() ? nullptr : answer.c_str();
}

// Waits for all threads of the warp.
static inline void wait_for_warp() {
    unsigned me = current, warp = threads[me].linear / 32;
    if (++n_at_warp[warp] == 32) {
        n_at_warp[warp] = 0;
        for (unsigned i = warp * 32; i < warp * 32 + 32; i++)
            if (i != me) threads[i].state = State::Ready;
        return;
    }
    wait(State::AtWarp);
}

// Shows a value to the warp, waits for all, and returns what a lane shows. Two slots in
// alternation: a lane that has shown its next value but one knows that everybody has read this one.
template <class V>
static inline const V* exchange(const V& value) {
    static_assert(sizeof(V) <= sizeof(Thread::slot[0]), "a slot holds 32 bytes");
    Thread& me = threads[current];
    unsigned slot = me.n_exchanges++ % 2;
    memcpy(me.slot[slot], &value, sizeof value);
    wait_for_warp();
    return reinterpret_cast<const V*>(threads[current / 32 * 32].slot[slot]);
}

template <class V>
static inline const V& of_lane(const V* first, unsigned lane) {
    return *reinterpret_cast<const V*>(reinterpret_cast<const char*>(first) +
                                       lane * sizeof(Thread));
}

static inline void check_aligned(const void* at, size_t bytes) {
    if (reinterpret_cast<uintptr_t>(at) % bytes) fail("a vector access is not aligned");
}

}  // namespace shim

// Makes a kernel callable by name: `host_launch_NAME`. With nvcc, kernels are found by name anyway.
#define HOST_LAUNCH(name)                                                                \
    extern "C" const char* host_launch_##name(const shim::Launch* at, void** parameters, \
                                              unsigned n_parameters) {                   \
        return shim::launch(name, *at, parameters, n_parameters);                        \
    }

static inline void __syncthreads() { shim::wait(shim::State::AtBlock); }
static inline void __syncwarp(unsigned = 0xffffffffu) { shim::wait_for_warp(); }

template <class V>
static inline V __shfl_xor_sync(unsigned mask, V value, int lane_mask) {
    if (mask != 0xffffffffu) shim::fail("shuffles of a part of a warp are not supported");
    return shim::of_lane(
        shim::exchange(value),
        (threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) % 32 ^ lane_mask);
}

static inline float __uint_as_float(unsigned bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
static inline unsigned __float_as_uint(float value) {
    unsigned bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}
// The compiler is told not to contract products and sums, so these are what they say.
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fsub_rn(float a, float b) { return a - b; }
static inline float __fdiv_rn(float a, float b) { return a / b; }
static inline float __fsqrt_rn(float a) { return std::sqrt(a); }
template <class V>
static inline V min(V a, V b) {
    return b < a ? b : a;
}
template <class V>
static inline V max(V a, V b) {
    return a < b ? b : a;
}
