// What cuBLAS does not have: embedding, norm, rotation, attention, activation. Written to be read, not to be fast.
#ifndef KERNELS_CUH
#define KERNELS_CUH

/// Adds up one number of each thread of a block of 256.
__device__ inline float block_sum(float mine) {
    __shared__ float shared[256];
    shared[threadIdx.x] = mine;
    __syncthreads();
    for (unsigned half = 128; half > 0; half /= 2) {
        if (threadIdx.x < half) shared[threadIdx.x] += shared[threadIdx.x + half];
        __syncthreads();
    }
    const float sum = shared[0];
    __syncthreads();
    return sum;
}

static __global__ void take_rows(const float* table, const int* ids, float* out, int width) {
    for (int i = threadIdx.x; i < width; i += blockDim.x) out[blockIdx.x * width + i] = table[static_cast<long long>(ids[blockIdx.x]) * width + i];
}

static __global__ void rms_norm(const float* x, const float* weight, float* out, int width, float eps) {
    const float* row = x + blockIdx.x * width;
    float squares = 0.0f;
    for (int i = threadIdx.x; i < width; i += blockDim.x) squares += row[i] * row[i];
    const float scale = rsqrtf(block_sum(squares) / static_cast<float>(width) + eps);
    for (int i = threadIdx.x; i < width; i += blockDim.x) out[blockIdx.x * width + i] = row[i] * scale * weight[i];
}

static __global__ void add_row(float* x, const float* row, int width) {
    for (int i = threadIdx.x; i < width; i += blockDim.x) x[blockIdx.x * width + i] += row[i];
}

static __global__ void add(const float* a, const float* b, float* out, int n) {
    const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < n) out[i] = a[i] + b[i];
}

static __global__ void silu_times(const float* gate, const float* up, float* out, int n) {
    const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < n) out[i] = gate[i] / (1.0f + expf(-gate[i])) * up[i];
}

/// [tokens, heads, dim]; a block for each token and head. `halves` pairs lane i with lane i + dim/2, else neighbours are pairs.
static __global__ void rotate(const float* x, float* out, const int* position, int heads, int dim, float base, bool halves) {
    const int token = static_cast<int>(blockIdx.x) / heads;
    const float* from = x + static_cast<long long>(blockIdx.x) * dim;
    float* to = out + static_cast<long long>(blockIdx.x) * dim;
    for (int pair = threadIdx.x; pair < dim / 2; pair += blockDim.x) {
        const int first = halves ? pair : 2 * pair;
        const int second = halves ? pair + dim / 2 : 2 * pair + 1;
        const double angle = (*position + token) * pow(static_cast<double>(base), -2.0 * pair / dim);
        const float c = static_cast<float>(cos(angle));
        const float s = static_cast<float>(sin(angle));
        const float a = from[first];
        const float b = from[second];
        to[first] = a * c - b * s;
        to[second] = a * s + b * c;
    }
}

/// Rows of a pass into the cache, from position `*position + shift` on.
static __global__ void keep(const float* rows, float* cache, const int* position, int width, int shift) {
    const int at = *position + shift + static_cast<int>(blockIdx.x);
    if (at < 0) return;
    for (int i = threadIdx.x; i < width; i += blockDim.x) cache[static_cast<long long>(at) * width + i] = rows[blockIdx.x * width + i];
}

/// Scores, probabilities and context of one token and head a block; `scores` and `probs` are [tokens, heads, stride].
static __global__ void attend(const float* q, const float* keys, const float* values, float* scores, float* probs, float* context,
                              const int* position, int tokens, int stride, int heads, int kv_heads, int dim, float scale, bool tiled) {
    const int token = static_cast<int>(blockIdx.x) / heads;
    const int head = static_cast<int>(blockIdx.x) % heads;
    const int kv_head = tiled ? head % kv_heads : head / (heads / kv_heads);
    const int kv = *position + tokens;
    const int seen = *position + token + 1;
    const float* query = q + static_cast<long long>(blockIdx.x) * dim;
    float* mine = scores + static_cast<long long>(blockIdx.x) * stride;
    float* probabilities = probs + static_cast<long long>(blockIdx.x) * stride;
    for (int j = threadIdx.x; j < kv; j += blockDim.x) {
        const float* key = keys + (static_cast<long long>(j) * kv_heads + kv_head) * dim;
        float dot = 0.0f;
        for (int i = 0; i < dim; ++i) dot += query[i] * key[i];
        mine[j] = dot * scale;
    }
    __syncthreads();
    float most = -INFINITY;
    for (int j = 0; j < seen; ++j) most = fmaxf(most, mine[j]);
    float share = 0.0f;
    for (int j = threadIdx.x; j < seen; j += blockDim.x) share += expf(mine[j] - most);
    const float sum = block_sum(share);
    for (int j = threadIdx.x; j < kv; j += blockDim.x) probabilities[j] = j < seen ? expf(mine[j] - most) / sum : 0.0f;
    __syncthreads();
    for (int i = threadIdx.x; i < dim; i += blockDim.x) {
        float total = 0.0f;
        for (int j = 0; j < seen; ++j) total += probabilities[j] * values[(static_cast<long long>(j) * kv_heads + kv_head) * dim + i];
        context[static_cast<long long>(blockIdx.x) * dim + i] = total;
    }
}

static __global__ void move_on(int* position, int by) { *position += by; }

#endif
